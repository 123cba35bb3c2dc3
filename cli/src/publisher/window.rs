//! What was handed to the connection and is not yet acknowledged, in the order of publishing.

use std::collections::{HashMap, VecDeque};

use super::Message;

/// Messages in flight. Entries are numbered in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// `None` where the acknowledgement overtook that of an earlier message.
    entries: VecDeque<Option<Message>>,
    /// Number of the first entry.
    first: u64,
    /// Number of the entry that the connection sends next.
    next_sent: u64,
    /// Entries that the connection sent, by packet identifier.
    by_packet_id: HashMap<u16, u64>,
}

impl Window {
    /// Adds a message behind the others.
    pub(super) fn push(&mut self, message: Message) {
        self.entries.push_back(Some(message));
    }

    /// The connection sent the next message. An identifier of 0 means `QoS` 0, which is then done.
    /// Gives whether a message is done.
    pub(super) fn sent(&mut self, packet_id: u16) -> bool {
        let number = self.next_sent;
        self.next_sent += 1;
        if packet_id == 0 {
            return self.complete(number);
        }
        self.by_packet_id.insert(packet_id, number);
        false
    }

    /// The broker acknowledged a message. Gives whether that was one of ours.
    pub(super) fn acknowledged(&mut self, packet_id: u16) -> bool {
        let number = self.by_packet_id.remove(&packet_id);
        number.is_some_and(|number| self.complete(number))
    }

    /// Starts over with a new connection: gives all messages that must be sent again, in order.
    pub(super) fn restart(&mut self) -> Vec<Message> {
        self.entries.retain(Option::is_some);
        self.by_packet_id.clear();
        self.next_sent = self.first;
        self.entries.iter().flatten().cloned().collect()
    }

    fn complete(&mut self, number: u64) -> bool {
        let Some(index) = number
            .checked_sub(self.first)
            .and_then(|index| usize::try_from(index).ok())
        else {
            return false;
        };
        let taken = self.entries.get_mut(index).and_then(Option::take);
        while let Some(None) = self.entries.front() {
            self.entries.pop_front();
            self.first += 1;
        }
        taken.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(count: u8) -> Window {
        let mut window = Window::default();
        for number in 0..count {
            window.push(message(number));
        }
        window
    }

    fn message(number: u8) -> Message {
        Message {
            topic: number.to_string(),
            payload: bytes::Bytes::new(),
            retain: false,
        }
    }

    fn left(window: &mut Window) -> Vec<String> {
        window
            .restart()
            .into_iter()
            .map(|message| message.topic)
            .collect()
    }

    #[test]
    fn acknowledgements_may_come_in_any_order() {
        let mut window = window(3);
        for packet_id in [7, 8, 9] {
            assert!(!window.sent(packet_id));
        }
        assert!(window.acknowledged(8));
        assert!(!window.acknowledged(8));
        assert!(window.acknowledged(7));
        assert_eq!(left(&mut window), ["2"]);
    }

    #[test]
    fn what_was_not_acknowledged_is_sent_again_in_order() {
        let mut window = window(3);
        window.sent(1);
        window.sent(2);
        assert!(window.acknowledged(2));
        assert_eq!(left(&mut window), ["0", "2"]);
        // The new connection begins with other identifiers.
        window.push(message(3));
        for packet_id in [2, 1, 5] {
            window.sent(packet_id);
        }
        assert!(window.acknowledged(2));
        assert!(window.acknowledged(5));
        assert_eq!(left(&mut window), ["2"]);
        window.sent(1);
        assert!(window.acknowledged(1));
        assert!(left(&mut window).is_empty());
    }

    #[test]
    fn a_message_at_qos_0_is_done_when_sent() {
        let mut window = window(2);
        assert!(window.sent(0));
        assert_eq!(left(&mut window), ["1"]);
    }
}
