//! What texts must look like. Each is a length and a few tests, mostly patterns: the same pattern is matched by an
//! API server (RE2) and by `validate` (regex), which agree on all that is used here.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use kube::core::{Message, Rule};
use regex::Regex;
use schemars::Schema;
use schemars::transform::Transform;
use serde_json::Value;

use super::add;
use crate::programs::RESERVED_VARIABLES;

/// The key of a schema that names the [`Text`] of a field; it stays out of the definition.
pub(crate) const KEY: &str = "x-text";

/// A kind of text: how long it may be, and what it must look like.
#[derive(Debug)]
pub(crate) struct Text {
    name: &'static str,
    /// In characters.
    pub(crate) max: usize,
    tests: &'static [Test],
}

#[derive(Debug)]
struct Test {
    holds: Holds,
    message: &'static str,
}

#[derive(Debug)]
enum Holds {
    Like(&'static str),
    Unlike(&'static str),
    /// Like the second one, if it is like the first one.
    LikeIf(&'static str, &'static str),
    NotIn(&'static [&'static str]),
    /// What no pattern says well.
    Cel(&'static str, fn(&str) -> bool),
}

impl Holds {
    /// In CEL, for a text that is called `it` there.
    fn cel(&self, it: &str) -> String {
        let matches = |pattern| format!("{it}.matches(r'{pattern}')");
        match self {
            Self::Like(pattern) => matches(pattern),
            Self::Unlike(pattern) => format!("!{}", matches(pattern)),
            Self::LikeIf(when, like) => format!("!{} || {}", matches(when), matches(like)),
            Self::NotIn(list) => format!("!({it} in ['{}'])", list.join("', '")),
            Self::Cel(cel, _) => cel.replace("self", it),
        }
    }

    fn of(&self, text: &str) -> bool {
        match self {
            Self::Like(pattern) => matches(pattern, text),
            Self::Unlike(pattern) => !matches(pattern, text),
            Self::LikeIf(when, like) => !matches(when, text) || matches(like, text),
            Self::NotIn(list) => !list.contains(&text),
            Self::Cel(_, holds) => holds(text),
        }
    }
}

/// Whether a text is like a pattern. Patterns are compiled once.
pub(crate) fn matches(pattern: &'static str, text: &str) -> bool {
    static COMPILED: Mutex<BTreeMap<&str, Regex>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let regex = compiled
        .entry(pattern)
        .or_insert_with(|| Regex::new(pattern).expect("a pattern is valid, as a test shows"));
    regex.is_match(text)
}

impl Text {
    const fn new(name: &'static str, max: usize, tests: &'static [Test]) -> Self {
        Self { name, max, tests }
    }

    /// The kind of text with this name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|text| text.name == name)
    }

    /// What is wrong with a text, apart from its length.
    pub(crate) fn complaints<'a>(
        &'a self,
        text: &'a str,
    ) -> impl Iterator<Item = &'static str> + 'a {
        let wrong = self.tests.iter().filter(|test| !test.holds.of(text));
        wrong.map(|test| test.message)
    }

    fn rules<'a>(&'a self, it: &'a str) -> impl Iterator<Item = Rule> + 'a {
        self.tests.iter().map(move |test| {
            let message = Message::Message(test.message.to_owned());
            Rule::new(test.holds.cel(it)).message(message)
        })
    }

    fn describe(&self, keys: &mut serde_json::Map<String, Value>) {
        keys.insert("maxLength".to_owned(), self.max.into());
        keys.insert(KEY.to_owned(), Value::from(self.name));
    }
}

/// Puts the rules of a text on the object that the text is a field of. What an API server says then has no value in
/// it, where from 1.36 on it repeats a text that a rule of its own refuses.
pub(crate) struct Secretive {
    /// The field.
    pub(crate) field: &'static str,
    /// What text it has.
    pub(crate) text: &'static Text,
}

impl Transform for Secretive {
    fn transform(&mut self, schema: &mut Schema) {
        let Self { field, text } = *self;
        let keys = schema.pointer_mut(&format!("/properties/{field}"));
        let keys = keys.and_then(Value::as_object_mut);
        text.describe(keys.expect("the object has the field, as a test shows"));
        let it = format!("self.{field}");
        add(
            schema,
            text.rules(&it).map(|mut rule| {
                rule.rule = format!("!has({it}) || {}", rule.rule);
                rule.field_path(format!(".{field}"))
            }),
        );
    }
}

/// Puts the text's length and rules on a field, or on the items or values of one.
impl Transform for &'static Text {
    fn transform(&mut self, schema: &mut Schema) {
        let Some(keys) = schema.as_object_mut() else {
            return;
        };
        for inner in ["items", "additionalProperties"] {
            if let Some(inner) = keys.get_mut(inner)
                && let Ok(inner) = inner.try_into()
            {
                return self.transform(inner);
            }
        }
        self.describe(keys);
        add(schema, self.rules("self"));
    }
}

/// Letters, digits and `-`, as in the names of objects.
macro_rules! label {
    () => {
        "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
    };
}

/// Labels with dots between them.
macro_rules! subdomain {
    () => {
        concat!(label!(), r"(\.", label!(), ")*")
    };
}

const SUBDOMAIN: &str =
    "must be a name of lower-case letters, digits, - and ., at most 253 characters";

/// The name of an object, such as a Secret.
pub(crate) static OBJECT_NAME: Text = Text::new(
    "object name",
    253,
    &[Test {
        holds: Holds::Like(concat!("^", subdomain!(), "$")),
        message: SUBDOMAIN,
    }],
);

/// The same, or empty.
pub(crate) static OPTIONAL_NAME: Text = Text::new(
    "optional name",
    253,
    &[Test {
        holds: Holds::Like(concat!("^(", subdomain!(), ")?$")),
        message: SUBDOMAIN,
    }],
);

const LABEL_MESSAGE: &str =
    "must be 1 to 63 lower-case letters, digits and -, not beginning or ending with -";

/// The name of a namespace.
pub(crate) static LABEL: Text = Text::new(
    "label",
    63,
    &[Test {
        holds: Holds::Like(concat!("^", label!(), "$")),
        message: LABEL_MESSAGE,
    }],
);

/// A host name, whose first label may be a wildcard.
pub(crate) static HOST: Text = Text::new(
    "host",
    253,
    &[Test {
        holds: Holds::Like(concat!(r"^(\*\.)?", subdomain!(), "$")),
        message: "must be a host name of lower-case letters, digits, - and ., such as mesh.example.org",
    }],
);

/// The name that a certificate must carry.
pub(crate) static SERVER_NAME: Text = Text::new(
    "server name",
    253,
    &[Test {
        holds: Holds::Like(
            r"^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*$",
        ),
        message: "must be a host name of letters, digits, - and .",
    }],
);

/// A key of a Secret. It becomes the name of a file.
pub(crate) static SECRET_KEY: Text = Text::new(
    "secret key",
    253,
    &[Test {
        holds: Holds::Like(r"^\.?[-_A-Za-z0-9][-._A-Za-z0-9]*$"),
        message: "must be the name of a key in the Secret: letters, digits, -, _ and .",
    }],
);

/// The name of a source. It is a label of metrics.
pub(crate) static SOURCE_NAME: Text = Text::new(
    "source name",
    63,
    &[Test {
        holds: Holds::Like("^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"),
        message: "must be 1 to 63 letters, digits, -, _ and ., beginning and ending with a letter or digit",
    }],
);

/// A number of a dotted address.
macro_rules! octet {
    () => {
        "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
    };
}

/// A part of a broker's name. Names inside a cluster have no underscore, those of container engines may.
macro_rules! host_label {
    () => {
        "[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?"
    };
}

/// A broker's address. Each test but the first two looks only at what the ones before accept, so that one mistake
/// gives one message. None repeats the address: people put passwords into it.
pub(crate) static BROKER: Text = Text::new(
    "broker",
    512,
    &[
        Test {
            holds: Holds::Like("^(mqtts?|wss?)://"),
            message: "must begin with mqtt://, mqtts://, ws:// or wss://, as in mqtt://broker:1883; \
                      for tcp:// write mqtt://, for ssl:// or tls:// mqtts://, for http:// ws://, for https:// wss://",
        },
        Test {
            holds: Holds::Unlike("^([a-z]+:)?(//)?[^/?#]*@"),
            message: "a user name or password in the address would end up in logs; put them into a Secret \
                      and name it in credentialsSecretRef",
        },
        Test {
            holds: Holds::LikeIf(
                "^(mqtts?|wss?)://[^/?#@]*([/?#]|$)",
                concat!(
                    "^[a-z]+://(",
                    host_label!(),
                    r"(\.",
                    host_label!(),
                    r")*\.?|\[[^\]/?#]*:[^\]/?#]*\])(:[^/?#]*)?([/?#]|$)"
                ),
            ),
            message: "the host must be a name, or an IP address (version 6 in [ ]), as in mqtt://broker:1883",
        },
        Test {
            holds: Holds::LikeIf(
                r"^(mqtts?|wss?)://([^/?#@:\[]*\.)?([0-9]+|0[xX][0-9A-Fa-f]*)\.?(:|[/?#]|$)",
                concat!(r"^[a-z]+://(", octet!(), r"\.){3}", octet!(), "(:|[/?#]|$)"),
            ),
            message: "a host that ends with a number must be an IP address, such as 192.0.2.1",
        },
        Test {
            holds: Holds::Cel(
                r"!self.matches(r'^[a-z]+://\[[^\]/?#]*\]') || isIP(self.split(']')[0].split('[')[1])",
                is_without_wrong_ipv6,
            ),
            message: "what stands in [ ] must be an IP address of version 6, such as fd00::5",
        },
        Test {
            holds: Holds::LikeIf(
                r"^(mqtts?|wss?)://([^/?#@:\[]*|\[[^\]/?#]*\]):[^/?#@]*([/?#]|$)",
                r"^[a-z]+://([^/?#@:\[]*|\[[^\]/?#]*\]):0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])([/?#]|$)",
            ),
            message: "the port must be 1 to 65535",
        },
        Test {
            holds: Holds::LikeIf("^mqtts?://[^@]*$", "^mqtts?://[^/?#]*/?$"),
            message: "plain MQTT has no path; topics belong into the field topics",
        },
        Test {
            holds: Holds::LikeIf("^wss?://[^@]*$", r#"^[!"$-~]*$"#),
            message: "the path must not hold spaces or #",
        },
    ],
);

/// As `isIP` of Kubernetes' CEL, which takes no address of version 4 in the form of version 6.
fn is_without_wrong_ipv6(broker: &str) -> bool {
    if !matches(r"^[a-z]+://\[[^\]/?#]*\]", broker) {
        return true;
    }
    let inner = broker
        .split(']')
        .next()
        .and_then(|text| text.split('[').nth(1));
    let address = inner.unwrap_or_default().parse::<std::net::IpAddr>();
    address.is_ok_and(|address| match address {
        std::net::IpAddr::V4(_) => true,
        std::net::IpAddr::V6(address) => address.to_ipv4_mapped().is_none(),
    })
}

/// A topic filter.
pub(crate) static TOPIC: Text = Text::new(
    "topic",
    256,
    &[
        Test {
            holds: Holds::Like(r"^[^\x00-\x1f\x7f-\x9f]+$"),
            message: "must not be empty or hold control characters",
        },
        Test {
            holds: Holds::Like("^([^#]*/)?#?$|^[^#]*$"),
            message: "# must stand alone as the last level, as in meshcore/#",
        },
        Test {
            holds: Holds::Like(r"^([^+/]*|\+)(/([^+/]*|\+))*$"),
            message: "+ must stand alone in its level, as in meshcore/+/packets",
        },
        Test {
            holds: Holds::LikeIf(r"^\$share(/|$)", r"^\$share/[^/]+/"),
            message: "a shared subscription is $share/{group}/{filter}",
        },
    ],
);

/// A region code.
pub(crate) static REGION: Text = Text::new(
    "region",
    32,
    &[Test {
        holds: Holds::Like("^[-A-Za-z0-9_]+$"),
        message: "must be a region code such as SJC: letters, digits, - and _",
    }],
);

/// A hashtag channel.
pub(crate) static HASHTAG: Text = Text::new(
    "hashtag",
    65,
    &[Test {
        holds: Holds::Like(
            r"^#?[^#\x00-\x20\x7f-\xa0]([^\x00-\x1f\x7f-\x9f]{0,62}[^\x00-\x20\x7f-\xa0])?$",
        ),
        message: "must be 1 to 64 characters without line breaks, with or without one # in front",
    }],
);

/// A log level or a filter.
pub(crate) static LOG_LEVEL: Text = Text::new(
    "log level",
    256,
    &[Test {
        holds: Holds::Like("^(off|error|warn|warning|info|debug|trace)$|[=,]"),
        message: "must be error, warn, info, debug or trace, or a filter such as info,sqlx=warn",
    }],
);

/// The name of a variable.
pub(crate) static VARIABLE: Text = Text::new(
    "variable",
    128,
    &[
        Test {
            holds: Holds::Like("^[A-Za-z_][A-Za-z0-9_]*$"),
            message: "must be the name of a variable: letters, digits and _",
        },
        Test {
            holds: Holds::NotIn(&RESERVED_VARIABLES),
            message: "this variable is made from other fields of the resource; change those",
        },
    ],
);

/// The value of a variable.
pub(crate) static VARIABLE_VALUE: Text = Text::new(
    "variable value",
    4096,
    &[Test {
        holds: Holds::Like(r"^[^\x00]*$"),
        message: "must not hold the character 0",
    }],
);

/// A registry with a path.
pub(crate) static REGISTRY: Text = Text::new(
    "registry",
    255,
    &[Test {
        holds: Holds::Like("^[-A-Za-z0-9_.:/]*$"),
        message: "must be at most 255 letters, digits, -, _, ., : and /",
    }],
);

/// The tag of an image.
pub(crate) static TAG: Text = Text::new(
    "tag",
    128,
    &[Test {
        holds: Holds::Like("^([A-Za-z0-9_][-A-Za-z0-9_.]*)?$"),
        message: "must be at most 128 letters, digits, -, _ and ., not beginning with - or .",
    }],
);

/// The digest of an image, or nothing.
pub(crate) static DIGEST: Text = Text::new(
    "digest",
    71,
    &[Test {
        holds: Holds::Like("^(sha256:[0-9a-f]{64})?$"),
        message: "must be sha256: and 64 hexadecimal digits",
    }],
);

/// A quantity of bytes above zero. Quantities of other fields may also be numbers; this one is always a text, since
/// `quantity()` of CEL takes nothing else.
pub(crate) static SIZE: Text = Text::new(
    "size",
    20,
    &[Test {
        holds: Holds::Like(
            r"^(0*[1-9][0-9]*(\.[0-9]*)?|[0-9]+\.[0-9]*[1-9][0-9]*)(k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$",
        ),
        message: "must be a quantity such as 10Gi or 500Mi",
    }],
);

/// The value of a label.
pub(crate) static LABEL_VALUE: Text = Text::new(
    "label value",
    63,
    &[Test {
        holds: Holds::Like("^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"),
        message: "must be at most 63 letters, digits, -, _ and ., beginning and ending with a letter or digit",
    }],
);

/// The value of an annotation.
pub(crate) static ANNOTATION_VALUE: Text = Text::new("annotation value", 4096, &[]);

/// The name of a volume of the resource's own.
pub(crate) static VOLUME_NAME: Text = Text::new(
    "volume name",
    63,
    &[
        Test {
            holds: Holds::Like(concat!("^", label!(), "$")),
            message: LABEL_MESSAGE,
        },
        Test {
            holds: Holds::Unlike("^meshcore-"),
            message: "volumes whose names begin with meshcore- are the operator's own; take another name",
        },
    ],
);

/// Where a volume of the resource's own is mounted.
pub(crate) static MOUNT_PATH: Text = Text::new(
    "mount path",
    512,
    &[
        Test {
            holds: Holds::Like(r"^(/([^/.:][^/:]*|\.[^/.:][^/:]*))+/?$"),
            message: "must be an absolute path without : and without . and .. between /",
        },
        Test {
            holds: Holds::Unlike("^/(etc|(etc/meshcore|data|tmp)(/.*)?)/?$"),
            message: "/data, /etc/meshcore and /tmp are the operator's own, and /etc would hide one of them; take \
                      another path",
        },
    ],
);

static ALL: [&Text; 22] = [
    &VOLUME_NAME,
    &MOUNT_PATH,
    &OBJECT_NAME,
    &OPTIONAL_NAME,
    &LABEL,
    &HOST,
    &SERVER_NAME,
    &SECRET_KEY,
    &SOURCE_NAME,
    &BROKER,
    &TOPIC,
    &REGION,
    &HASHTAG,
    &LOG_LEVEL,
    &VARIABLE,
    &VARIABLE_VALUE,
    &REGISTRY,
    &TAG,
    &DIGEST,
    &SIZE,
    &LABEL_VALUE,
    &ANNOTATION_VALUE,
];
