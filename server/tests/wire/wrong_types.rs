//! Every command that wants one type meets keys of all others. Which commands there are, and where their keys stand, is asked of
//! the server: a new command is tested without a word here, unless its arguments are words of their own.

use crate::support::{Connection, Server};
use thermocline_resp::Value;

/// Types and the ACL categories of the commands that want them.
const WANTED: [(&str, &[&str]); 5] = [
    ("string", &["string", "bitmap"]),
    ("hash", &["hash"]),
    ("list", &["list"]),
    ("set", &["set"]),
    ("zset", &["sortedset"]),
];

/// What stands behind the name of a command whose arguments are not just keys and `1`. `K`: a key.
const FORMS: [(&str, &str); 39] = [
    ("bitop", "AND K K"),
    ("blmove", "K K LEFT RIGHT 1"),
    ("blmpop", "1 1 K LEFT"),
    ("bzmpop", "1 1 K MIN"),
    ("hexpire", "K 1 FIELDS 1 1"),
    ("hexpireat", "K 1 FIELDS 1 1"),
    ("hexpiretime", "K FIELDS 1 1"),
    ("hgetdel", "K FIELDS 1 1"),
    ("hgetex", "K FIELDS 1 1"),
    ("hpersist", "K FIELDS 1 1"),
    ("hpexpire", "K 1 FIELDS 1 1"),
    ("hpexpireat", "K 1 FIELDS 1 1"),
    ("hpexpiretime", "K FIELDS 1 1"),
    ("hpttl", "K FIELDS 1 1"),
    ("hsetex", "K FIELDS 1 1 1"),
    ("httl", "K FIELDS 1 1"),
    ("linsert", "K BEFORE 1 1"),
    ("lmove", "K K LEFT RIGHT"),
    ("lmpop", "1 K LEFT"),
    ("sintercard", "2 K K"),
    ("zdiff", "2 K K"),
    ("zdiffstore", "K 2 K K"),
    ("zinter", "2 K K"),
    ("zintercard", "2 K K"),
    ("zinterstore", "K 2 K K"),
    ("zlexcount", "K - +"),
    ("zmpop", "1 K MIN"),
    ("zrangebylex", "K - +"),
    ("zremrangebylex", "K - +"),
    ("zrevrangebylex", "K + -"),
    ("zunion", "2 K K"),
    ("zunionstore", "K 2 K K"),
    // Several keys where one would do.
    ("sdiff", "K K K"),
    ("sdiffstore", "K K K"),
    ("sinter", "K K K"),
    ("sinterstore", "K K K"),
    ("sunion", "K K K"),
    ("sunionstore", "K K K"),
    ("mget", "K K"),
];

/// String commands that never refuse a type: they overwrite, look only whether something is there, or answer nothing for it; LCS
/// refuses in words of its own.
const FORGIVING: [&str; 8] = ["lcs", "mget", "mset", "msetex", "msetnx", "psetex", "setex", "setnx"];
/// Not only sorted sets: these take sets as well.
const TAKE_SETS: [&str; 7] = ["zdiff", "zdiffstore", "zinter", "zintercard", "zinterstore", "zunion", "zunionstore"];
/// These take whatever has elements without values.
const TAKE_ELEMENTS: [&str; 2] = ["sort", "sort_ro"];

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) | Value::Set(values) => values,
        other => panic!("no list: {other:?}"),
    }
}

fn string(value: &Value) -> String {
    match value {
        Value::Bulk(text) | Value::Simple(text) => String::from_utf8_lossy(text).into_owned(),
        other => panic!("no string: {other:?}"),
    }
}

/// The names of the commands of a category.
fn commands(client: &mut Connection, category: &str) -> Vec<String> {
    list(client.call(&["COMMAND", "LIST", "FILTERBY", "ACLCAT", category])).iter().map(string).collect()
}

/// The words behind a command's name, `K` in place of its keys.
fn form(client: &mut Connection, name: &str) -> Vec<String> {
    if let Some((_, form)) = FORMS.iter().find(|(named, _)| *named == name) {
        return form.split(' ').map(str::to_owned).collect();
    }
    let info = list(list(client.call(&["COMMAND", "INFO", name])).remove(0));
    let number = |at: usize| match &info[at] {
        Value::Integer(number) => *number,
        other => panic!("{name}: {other:?}"),
    };
    let (arity, first, last, step) = (number(1), number(3), number(4), number(5));
    assert!(first > 0, "{name} needs a form: its keys are at no fixed place");
    let words = arity.unsigned_abs() as i64;
    let last = if last < 0 { words + last } else { last };
    (1..words)
        .map(|at| if at >= first && at <= last && (at - first) % step == 0 { "K" } else { "1" }.to_owned())
        .collect()
}

/// Which of the words behind the name are keys whose old value counts.
fn asked_keys(client: &mut Connection, name: &str, form: &[String]) -> Vec<usize> {
    let places: Vec<usize> = (0..form.len()).filter(|at| form[*at] == "K").collect();
    let words: Vec<&str> =
        ["COMMAND", "GETKEYSANDFLAGS", name].into_iter().chain(form.iter().map(String::as_str)).collect();
    let keys = list(client.call(&words));
    assert_eq!(keys.len(), places.len(), "{name} {form:?}");
    let is_overwritten = |key: &Value| list(list(key.clone()).remove(1)).iter().any(|flag| string(flag) == "OW");
    places.into_iter().zip(keys).filter(|(_, key)| !is_overwritten(key)).map(|(place, _)| place).collect()
}

/// A key of each type: `right:` ones hold what the commands name, so that nothing else is refused.
fn fill(client: &mut Connection, prefix: &str, count: usize) {
    let numbers: Vec<String> = (1..=count).map(|number| number.to_string()).collect();
    for (kind, _) in WANTED {
        let key = format!("{prefix}:{kind}");
        for some in numbers.chunks(500) {
            let some = || some.iter().map(String::as_str);
            let (name, behind): (&str, Vec<&str>) = match kind {
                "string" => ("SET", vec!["1"]),
                "hash" => ("HSET", some().flat_map(|number| [number, "1"]).collect()),
                "list" => ("RPUSH", some().collect()),
                "set" => ("SADD", some().collect()),
                _ => ("ZADD", some().flat_map(|number| [number, number]).collect()),
            };
            let answer = client.call(&[&[name, &key], &behind[..]].concat());
            assert!(!matches!(answer, Value::Error(_)), "{name}: {answer:?}");
        }
    }
}

/// How long each key of the other types is.
fn lengths(client: &mut Connection, prefix: &str) -> Vec<Value> {
    ["STRLEN", "HLEN", "LLEN", "SCARD", "ZCARD"]
        .iter()
        .zip(WANTED)
        .map(|(length, (kind, _))| client.call(&[length, &format!("{prefix}:{kind}")]))
        .collect()
}

#[test]
fn every_command_refuses_keys_of_every_other_type_and_changes_nothing() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let prefixes = ["small", "large"];
    fill(&mut client, prefixes[0], 3);
    fill(&mut client, prefixes[1], 10_000);
    fill(&mut client, "right", 3);
    let before = prefixes.map(|prefix| lengths(&mut client, prefix));
    let mut refusals = 0;
    for (wanted, categories) in WANTED {
        for category in categories {
            let names = commands(&mut client, category);
            assert!(names.len() > 5, "{category}: {names:?}");
            for name in names.iter().filter(|name| !FORGIVING.contains(&name.as_str())) {
                let form = form(&mut client, name);
                for place in asked_keys(&mut client, name, &form) {
                    for (kind, _) in WANTED.iter().filter(|(kind, _)| *kind != wanted) {
                        if *kind == "set" && TAKE_SETS.contains(&name.as_str()) {
                            continue;
                        }
                        if ["list", "set", "zset"].contains(kind) && TAKE_ELEMENTS.contains(&name.as_str()) {
                            continue;
                        }
                        for prefix in prefixes {
                            let (wrong, right) = (format!("{prefix}:{kind}"), format!("right:{wanted}"));
                            let fill = |(at, word): (usize, &String)| match word.as_str() {
                                "K" if at == place => wrong.clone(),
                                "K" => right.clone(),
                                other => other.to_owned(),
                            };
                            let words: Vec<String> =
                                std::iter::once(name.clone()).chain(form.iter().enumerate().map(fill)).collect();
                            let words: Vec<&str> = words.iter().map(String::as_str).collect();
                            let expected =
                                "WRONGTYPE Operation against a key holding the wrong kind of value".as_bytes().to_vec();
                            assert_eq!(client.call(&words), Value::Error(expected), "{words:?}");
                            refusals += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(prefixes.map(|prefix| lengths(&mut client, prefix)), before, "something was changed");
    println!("{refusals} refusals");
    assert!(refusals > 1_000, "{refusals}: are there so few commands?");
}
