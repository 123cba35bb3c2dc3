//! The embedded broker keeps what it promises to the ingestor, as long as it lives.

use meshcore_testkit::{Publisher, numbered_packet};
use rustix::process::{Signal, kill_process};

use super::harness::{SOON, Up, write};

#[tokio::test(flavor = "multi_thread")]
async fn what_it_acknowledged_is_stored_although_the_ingestor_is_killed_again_and_again() {
    let mut up = Up::start(&[]);
    up.wait_for_line("source embedded: connected (MQTT 3.1.1)");
    let mut publisher = Publisher::start(up.broker_port(), "feeder", 100).unwrap();
    let (kills, each) = (3, 3_000);
    for round in 0..kills {
        for number in round * each..(round + 1) * each {
            let packet = numbered_packet(number);
            publisher
                .publish(&packet.topic, packet.payload)
                .await
                .unwrap();
            if number == round * each + each / 2 {
                kill_process(up.child("meshcore-ingestor"), Signal::KILL).unwrap();
            }
        }
    }
    publisher.flush(SOON).await.unwrap();
    assert_eq!(
        up.wait_for_counter("totalTransmissions", kills * each),
        kills * each
    );
    assert!(up.log().contains("session_present=true"), "{}", up.log());
    up.press_ctrl_c();
    assert_eq!(up.exit_code(), 0, "{}", up.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_far_over_its_own_default_pass_and_the_connection_lives() {
    let up = Up::start(&[]);
    up.wait_for_line("source embedded: connected");
    let mut publisher = Publisher::start(up.broker_port(), "feeder", 10).unwrap();
    let mut packet = numbered_packet(1);
    // White space in front is as good in JSON; the largest that the ingestor takes is 64 KiB.
    let mut padded = vec![b' '; 60_000];
    padded.append(&mut packet.payload);
    publisher.publish(&packet.topic, padded).await.unwrap();
    publisher
        .publish(&packet.topic, vec![b' '; 900_000])
        .await
        .unwrap();
    let next = numbered_packet(2);
    publisher.publish(&next.topic, next.payload).await.unwrap();
    publisher.flush(SOON).await.unwrap();
    up.wait_for_counter("totalTransmissions", 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_its_log_holds_passes_through_a_listening_ingestor() {
    let up = Up::start(&[]);
    up.wait_for_line("source embedded: connected");
    let mut publisher = Publisher::start(up.broker_port(), "feeder", 20).unwrap();
    // 3,000 × 50 KB are twice the 64 MiB of its segments. It acknowledges at once, so we wait for the ingestor.
    let (chunk, chunks) = (600, 5);
    for number in 0..chunk * chunks {
        let packet = numbered_packet(number);
        let mut padded = vec![b' '; 50_000];
        padded.extend(packet.payload);
        publisher.publish(&packet.topic, padded).await.unwrap();
        if (number + 1) % chunk == 0 {
            up.wait_for_counter("totalTransmissions", number + 1);
        }
    }
}

#[test]
fn a_source_that_finds_the_version_out_by_itself_connects_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let port = meshcore_testkit::free_port();
    let resource = format!(
        "\
apiVersion: meshcore.dev/v1alpha1
kind: MeshCoreDeployment
metadata: {{name: auto}}
spec:
  mqttSources: [{{name: auto, broker: 'mqtt://127.0.0.1:{port}'}}]
  storage: {{size: 1Gi}}
"
    );
    write(folder.path(), "a.yaml", &resource);
    let port = port.to_string();
    let up = Up::start_in(folder, &["-f", "a.yaml", "--demo", "--broker-port", &port]);
    up.wait_for_line("source demo: connected (MQTT 3.1.1)");
    up.wait_for_line("source auto: connected (MQTT 3.1.1)");
}
