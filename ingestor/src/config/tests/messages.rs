//! Every refusal names the place and the cure, and no message repeats a secret.

use std::path::Path;

use super::{Args, load, load_with, problems, warnings};
use crate::config::raw::RawFile;

/// A file with one source that has these keys beside its broker.
fn source(keys: &str) -> String {
    format!("{{mqttSources: [{{name: a, broker: 'mqtts://b', {keys}}}]}}")
}

#[test]
fn wrong_types_are_told_with_their_path() {
    let cases = [
        (
            "{dbPath: 5}",
            "dbPath: wrong type: integer `5`, expected a file name",
        ),
        (
            "{retention: {packetDays: '90'}}",
            "retention.packetDays: wrong type: a text, expected a whole number without quotes",
        ),
        (
            "{mqttSources: [{}, {connectTimeoutSec: '5'}]}",
            "mqttSources[1].connectTimeoutSec: wrong type: a text, expected a whole number, zero \
             or more, without quotes",
        ),
        (
            "{mqttSources: [{connectTimeoutSec: -1}]}",
            "mqttSources[0].connectTimeoutSec: invalid value: integer `-1`, expected a whole number, \
             zero or more, without quotes",
        ),
        (
            "{mqttSources: {name: a}}",
            "mqttSources: wrong type: keys and values, expected a list",
        ),
        (
            "{mqttSources: [{topics: 'meshcore/#'}]}",
            "mqttSources[0].topics: wrong type: a text, expected a list",
        ),
        (
            "{validateSignatures: 'yes'}",
            "validateSignatures: wrong type: a text, expected true or false without quotes",
        ),
        (
            "{store: {maxSizeBytes: true}}",
            "store.maxSizeBytes: must be a number of bytes, or a text such as \"8Gi\"",
        ),
        (
            "{mqttSources: [{protocol: [5]}]}",
            "mqttSources[0].protocol: must be auto, \"5\" or \"3.1.1\"",
        ),
        (
            "{geo_filter: {polygon: [[1, 2, 3]]}}",
            "geo_filter.polygon[0]: invalid length 3, expected a pair [latitude, longitude]",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(text), [expected], "{text}");
    }
}

#[test]
fn syntax_errors_name_the_format_and_the_line() {
    let cases = [
        (
            "{\"dbPath\": \"x\"",
            "the configuration file config.yaml is not valid JSON: EOF while parsing an object at line 1 column 14",
        ),
        (
            "dbPath: [",
            "the configuration file config.yaml is not valid YAML: ",
        ),
        (
            "just a text",
            "the configuration file config.yaml is not valid YAML: the file must hold keys and values",
        ),
        (
            "- a\n- b",
            "the configuration file config.yaml is not valid YAML: the file must hold keys and values",
        ),
    ];
    for (text, expected) in cases {
        let message = problems(text).join("\n");
        assert!(message.starts_with(expected), "{text}: {message}");
    }
    assert!(
        load("").is_ok() && load("# only a comment\n").is_ok(),
        "empty is a configuration"
    );
}

#[test]
fn values_that_cannot_be_used_are_told_with_the_cure() {
    let long = "x".repeat(257);
    let long_id = format!("clientId: {long}");
    let bad_key = "{channelKeys: {Club: '0102'}}";
    let cases: &[(&str, &str)] = &[
        ("qos: 2", "qos: 2 is out of range; use 0 to 1"),
        (
            "keepAliveSeconds: 1",
            "keepAliveSeconds: 1 is out of range; use 5 to 3600",
        ),
        (
            "connectTimeoutSec: 0",
            "connectTimeoutSec: 0 is out of range; use 1 to 300",
        ),
        (
            "silenceSeconds: 5",
            "silenceSeconds: 5 is out of range; use 30 to 86400",
        ),
        ("protocol: 4", "protocol: must be auto, \"5\" or \"3.1.1\""),
        (
            "topics: [a, 'b#']",
            "topics[1]: # must stand alone as the last level, as in meshcore/#",
        ),
        ("topics: ['a/#/b']", "topics[0]: # must be the last level"),
        (
            "iataFilter: ['S J C']",
            "iataFilter[0]: must be a region code such as SJC: letters, digits, - and _",
        ),
        (
            "region: 'a/b'",
            "region: must be a region code such as SJC: letters, digits, - and _",
        ),
        (
            &long_id,
            "clientId: must be at most 256 characters without spaces",
        ),
        (
            "password: x",
            "username: is missing; a password needs a user name (key username or usernameFile)",
        ),
        (
            "username: a, usernameFile: /f",
            "username: is given twice, with usernameFile; remove one of them",
        ),
        (
            "username: a, password: x, passwordFile: /f",
            "password: is given twice, with passwordFile; remove one of them",
        ),
        (
            "username: a, token: {privateKeyFile: /k}",
            "token: cannot go with username and password; remove one or the other",
        ),
        (
            "token: {audience: x}",
            "token.privateKeyFile: is missing; name the key's file",
        ),
        (
            "token: {privateKeyFile: /k, owner: me}",
            "token.owner: must be a public key of 64 hexadecimal digits",
        ),
        (
            "tls: {clientCertFile: /c}",
            "tls.clientKeyFile: is missing; a client certificate needs both files",
        ),
        (
            "rejectUnauthorized: true, tls: {insecureSkipVerify: true}",
            "rejectUnauthorized: contradicts tls.insecureSkipVerify; remove one of them",
        ),
    ];
    for (keys, expected) in cases {
        assert_eq!(
            problems(&source(keys)),
            [format!("mqttSources[0].{expected}")],
            "{keys}"
        );
    }
    let cases = [
        (
            "{retention: {packetDays: -2}}",
            "retention.packetDays: -2 is out of range; use -1 to 36500",
        ),
        (
            "{maxObservers: 0}",
            "maxObservers: 0 is out of range; use 1 to 1000000",
        ),
        (
            "{metrics: {sampleIntervalSec: 0}}",
            "metrics.sampleIntervalSec: 0 is out of range; use 1 to 86400",
        ),
        (
            "{store: {commitLingerMs: 60000}}",
            "store.commitLingerMs: 60000 is out of range; use 0 to 10000",
        ),
        (
            "{store: {maxSizeBytes: 1024}}",
            "store.maxSizeBytes: must be 0 (no cap) or at least 16Mi",
        ),
        (
            "{store: {maxSizeBytes: 8Qi}}",
            "store.maxSizeBytes: must be a number of bytes, or a text such as \"8Gi\" or \"500M\"",
        ),
        (
            "{logLevel: loud}",
            "logLevel: must be error, warn, info, debug or trace, or a filter such as info,sqlx=warn",
        ),
        (
            "{healthAddress: '8081'}",
            "healthAddress: must be an address and a port, such as 127.0.0.1:8081 or [::]:8081",
        ),
        (
            "{hashChannels: ['#']}",
            "hashChannels[0]: must be a name such as #test",
        ),
        (
            bad_key,
            "channelKeys.Club: must be a key of 16 or 32 bytes: 32 or 64 hexadecimal digits, or Base64",
        ),
        (
            "{foreignAdverts: {mode: keep}}",
            "foreignAdverts.mode: must be flag or drop",
        ),
        (
            "{geo_filter: {polygon: [[0, 0], [99, 0]]}}",
            "geo_filter.polygon[1]: must be [latitude, longitude] with -90 to 90 and -180 to 180",
        ),
        (
            "{geo_filter: {latMin: 1}}",
            "geo_filter: needs a polygon of at least three corners, or all of latMin, latMax, lonMin and lonMax",
        ),
        (
            "{geo_filter: {latMin: 2, latMax: 1, lonMin: 0, lonMax: 1}}",
            "geo_filter: latMin, latMax, lonMin and lonMax are no area",
        ),
        (
            "{mqttSources: [{name: a}]}",
            "mqttSources[0].broker: the address is empty; write for example mqtt://broker:1883",
        ),
        (
            "{mqtt: {broker: 'tcp://b'}}",
            "mqtt.broker: the scheme must be mqtt, mqtts, ws or wss; for tcp write mqtt",
        ),
        (
            "{mqttSources: [{name: a, broker: 'mqtt://b'}, {name: a, broker: 'mqtt://c'}]}",
            "mqttSources[1].name: \"a\" is the name of another source too",
        ),
        (
            "{mqttSources: [{broker: 'mqtt://b'}, {broker: 'mqtt://B:1883'}]}",
            "mqttSources[1].name: \"mqtt://b:1883\" is the name of another source too",
        ),
        (
            "{mqttSources: [{name: a, broker: 'mqtt://b', clientId: x}, {name: c, broker: 'mqtt://b', clientId: x}]}",
            "mqttSources[1].clientId: another source of this broker has it too; each would throw the other out",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(text), [expected], "{text}");
    }
    let many = format!("{{mqttSources: [{}]}}", "{broker: 'mqtt://b'},".repeat(33));
    assert_eq!(
        problems(&many),
        ["mqttSources: there are more than 32 sources"]
    );
}

#[test]
fn all_problems_are_told_at_once() {
    let text = "{logLevel: loud, maxObservers: 0, mqttSources: [{broker: 'x', qos: 7}]}";
    assert_eq!(problems(text).len(), 4);
    let message = load(text).unwrap_err().to_string();
    assert!(message.starts_with("the configuration cannot be used:\n  mqttSources[0].broker: "));
}

#[test]
fn problems_of_variables_name_the_variable() {
    let args = |broker: &str, topic: &str, username: Option<&str>| Args {
        mqtt_broker: Some(broker.to_owned()),
        mqtt_topic: Some(topic.to_owned()),
        mqtt_username: username.map(str::to_owned),
        mqtt_password_file: Some("/p".into()),
        ..Args::default()
    };
    let message = load_with(args("http://b", "a#", None), "")
        .unwrap_err()
        .to_string();
    let lines: Vec<_> = message
        .lines()
        .skip(1)
        .map(|line| line.trim().split(':').next())
        .collect();
    assert_eq!(
        lines,
        [
            Some("MQTT_BROKER"),
            Some("MQTT_USERNAME"),
            Some("MQTT_TOPIC")
        ]
    );
}

#[test]
fn what_works_but_is_odd_gives_a_warning() {
    let cases: &[(&str, &[&str])] = &[
        (
            "brokr: x",
            &["mqttSources[0].brokr: unknown key, ignored; did you mean broker?"],
        ),
        (
            "tls: {cafile: /c}",
            &["mqttSources[0].tls.cafile: unknown key, ignored; did you mean caFile?"],
        ),
        (
            "topics: ['a/#', 'a/b']",
            &["mqttSources[0].topics: a/b is inside another filter and left out"],
        ),
        (
            "iataFilter: [bay1]",
            &["mqttSources[0].iataFilter[0]: BAY1 is no three-letter airport code"],
        ),
        (
            "rejectUnauthorized: false",
            &["mqttSources[0]: the broker's certificate is not verified"],
        ),
        (
            "clientId: abcdefghijklmnopqrstuvwxyz",
            &["mqttSources[0].clientId: is longer than 23 characters, which some brokers refuse"],
        ),
        (
            "rejectUnauthorized: false, token: {privateKeyFile: /k, email: a@example.org}",
            &[
                "mqttSources[0].token: owner and email are not sent: the broker's TLS is not verified",
                "mqttSources[0]: the broker's certificate is not verified",
            ],
        ),
        ("username: a, passwordFile: /p", &[]),
    ];
    for (keys, expected) in cases {
        assert_eq!(warnings(&source(keys)), *expected, "{keys}");
    }
    let clear = "{mqttSources: [{broker: 'mqtt://b', username: a}]}";
    assert_eq!(
        warnings(clear),
        ["mqttSources[0]: the sign-in goes over the network in clear text (use mqtts or wss)"]
    );
    assert_eq!(
        warnings(&clear.replace("//b", "//localhost")),
        [] as [&str; 0]
    );
    let tls = "{mqttSources: [{broker: 'mqtt://b', tls: {caFile: /ca}}]}";
    assert_eq!(
        warnings(tls),
        [
            "mqttSources[0].tls: has no effect: the broker's scheme is without TLS (use mqtts or wss)"
        ]
    );
}

#[test]
fn unknown_keys_have_their_full_path() {
    let text =
        "{mqttSources: [{}, {brokr: 1, token: {x: 1}}], retention: {packetdays: 1}, port: 3000,
        _comment: hello, colour: red, db: {load: {chunkSize: 5}}}";
    let file = RawFile::parse(text, Path::new("f")).unwrap();
    assert_eq!(
        file.unknown,
        [
            "_comment",
            "colour",
            "db.load",
            "mqttSources[1].brokr",
            "mqttSources[1].token.x",
            "port",
            "retention.packetdays",
        ]
    );
}

#[test]
fn no_message_repeats_a_secret() {
    let texts = [
        "{mqttSources: [{broker: 'mqtt://me:hunter2@b'}]}",
        "{mqttSources: [{broker: 'hunter2'}]}",
        "{mqttSources: [{broker: 'mqtt://b', username: a, password: [hunter2]}]}",
        "{mqttSources: [{broker: 'mqtt://b', username: a, password: {hunter2: 1}}]}",
        "{mqttSources: 'mqtt://me:hunter2@b'}",
        "{mqttSources: ['mqtt://me:hunter2@b']}",
        "{mqtt: 'mqtt://me:\", expected hunter2'}",
        "{channelKeys: hunter2}",
        "{channelKeys: {a: hunter2}}",
        "{channelKeys: {a: [hunter2]}}",
    ];
    for text in texts {
        let error = load(text).unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    let number = load("{mqttSources: [{broker: 'mqtt://b', username: a, password: 8675309}]}");
    let told = number.unwrap_err().to_string();
    assert!(
        told.contains("mqttSources[0].password: must be a text; put it in quotes"),
        "{told}"
    );
    assert!(!told.contains("8675309"));
}
