//! What `partition` is told: `v0,v1|v2,v3` cuts both ways, `v0>v1,v2` one way.

use std::collections::BTreeSet;

use quorate_cli::exit::Failure;

/// Where to look up how a partition is written.
const HINT: &str =
    "write groups of nodes, for example \"v0,v1|v2,v3\" (both ways) or \"v0>v1,v2\" (what v0 sends to v1 and v2)";

/// Directions of links that carry nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// Who sends and who does not receive, by index.
    pub pairs: BTreeSet<(usize, usize)>,
    /// It is cut one way only.
    pub one_way: bool,
    /// Nodes that it does not name, and whose links stay.
    pub unnamed: Vec<String>,
}

/// Reads what was typed. `names` are the nodes, by index.
///
/// # Errors
/// When it is not understood, names a node that does not exist, or one twice.
pub fn parse(text: &str, names: &[String]) -> Result<Cut, Failure> {
    let one_way = text.contains('>');
    if one_way && text.contains('|') {
        return Err(wrong(text, "it mixes | and >"));
    }
    let groups: Vec<Vec<usize>> =
        text.split(['|', '>']).map(|group| parse_group(text, group, names)).collect::<Result<_, _>>()?;
    if groups.len() < 2 {
        return Err(wrong(text, "it has one group only"));
    }
    if one_way && groups.len() > 2 {
        return Err(wrong(text, "one way is from one group to one other"));
    }
    let mut named = BTreeSet::new();
    for &index in groups.iter().flatten() {
        if !named.insert(index) {
            return Err(wrong(text, &format!("{} stands in it twice", names[index])));
        }
    }
    let mut pairs = BTreeSet::new();
    for (place, group) in groups.iter().enumerate() {
        for other in &groups[place + 1..] {
            let across = group.iter().flat_map(|&from| other.iter().map(move |&to| (from, to)));
            across.for_each(|(from, to)| {
                pairs.insert((from, to));
                if !one_way {
                    pairs.insert((to, from));
                }
            });
        }
    }
    let unnamed = names.iter().enumerate().filter(|(index, _)| !named.contains(index)).map(|(_, name)| name.clone());
    Ok(Cut { pairs, one_way, unnamed: unnamed.collect() })
}

fn parse_group(text: &str, group: &str, names: &[String]) -> Result<Vec<usize>, Failure> {
    let index = |name: &str| {
        let known = names.iter().position(|known| known == name.trim());
        known.ok_or_else(|| match name.trim() {
            "" => wrong(text, "a name is missing in it"),
            name => wrong(text, &format!("there is no node {name}; the nodes are {}", names.join(", "))),
        })
    };
    group.split(',').map(index).collect()
}

fn wrong(text: &str, reason: &str) -> Failure {
    Failure::usage(format!("the partition {text:?} is not understood: {reason}"), HINT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("v{index}")).collect()
    }

    fn pairs(text: &str) -> Vec<(usize, usize)> {
        parse(text, &names(4)).unwrap().pairs.into_iter().collect()
    }

    #[test]
    fn groups_are_cut_both_ways_and_an_arrow_one_way() {
        assert_eq!(pairs("v0,v1|v2"), [(0, 2), (1, 2), (2, 0), (2, 1)]);
        assert_eq!(pairs("v0|v1|v2"), [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]);
        assert_eq!(pairs("v3>v0,v1"), [(3, 0), (3, 1)]);
        assert_eq!(pairs(" v2 , v3 > v1 "), [(2, 1), (3, 1)]);
    }

    #[test]
    fn nodes_that_are_not_named_keep_their_links_and_are_told_of() {
        let cut = parse("v0|v1", &names(4)).unwrap();
        assert_eq!((cut.unnamed, cut.one_way), (vec!["v2".to_owned(), "v3".to_owned()], false));
        assert!(parse("v0,v1>v2,v3", &names(4)).unwrap().one_way);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", "a name is missing"),
            ("v0,v1", "one group"),
            ("v0|v1>v2", "mixes"),
            ("v0>v1>v2", "one way"),
            ("v0|v4", "there is no node v4; the nodes are v0, v1, v2, v3"),
            ("v0,v1|v1", "v1 stands in it twice"),
            ("v0||v1", "a name is missing"),
        ] {
            let failure = parse(text, &names(4)).unwrap_err();
            assert!(failure.message.contains(reason), "{text}: {}", failure.message);
            assert!(failure.hint.contains("v0,v1|v2,v3"), "{}", failure.hint);
        }
    }
}
