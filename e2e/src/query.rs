//! As much of PromQL as it takes to know which metrics and labels a query asks for.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::CharIndices;

use anyhow::{Context as _, bail};

/// A metric in a query, and what its labels have to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Its name.
    pub metric: String,
    /// Label, operator (`=`, `!=`, `=~`, `!~`) and value.
    pub matchers: Vec<(String, String, String)>,
}

/// What a query asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Its metrics.
    pub selectors: Vec<Selector>,
    /// The labels that it groups or matches by.
    pub groupings: Vec<String>,
}

/// Words that are neither metrics nor, being without parentheses, functions.
const WORDS: [&str; 10] = [
    "and", "or", "unless", "bool", "offset", "atan2", "inf", "nan", "start", "end",
];

/// Words that labels in parentheses follow.
const GROUPINGS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

/// Reads a query.
///
/// # Errors
/// When brackets or quotes do not match.
fn asked(query: &str) -> anyhow::Result<Asked> {
    let mut tokens = tokens(query)?.into_iter().peekable();
    let mut asked = Asked::default();
    while let Some(token) = tokens.next() {
        match token {
            Token::Word(word) if GROUPINGS.contains(&word.as_str()) => {
                if tokens.next_if_eq(&Token::Sign('(')).is_some() {
                    let labels = until(&mut tokens, ')')?;
                    asked.groupings.extend(labels.into_iter().filter_map(word_of));
                }
            }
            Token::Word(word) if WORDS.contains(&word.to_lowercase().as_str()) => {}
            // A function, or an aggregation such as `sum by (label) (…)`.
            Token::Word(_) if tokens.peek().is_some_and(begins_arguments) => {}
            Token::Word(metric) => {
                let braces = tokens.next_if_eq(&Token::Sign('{')).is_some();
                let inner = if braces {
                    until(&mut tokens, '}')?
                } else {
                    Vec::new()
                };
                asked.selectors.push(Selector {
                    metric,
                    matchers: matchers(inner)?,
                });
            }
            Token::Sign('[') => drop(until(&mut tokens, ']')?),
            Token::Sign('{') => bail!("{query}: a selector without a name"),
            Token::Text(_) | Token::Sign(_) => {}
        }
    }
    Ok(asked)
}

fn begins_arguments(token: &Token) -> bool {
    match token {
        Token::Sign(sign) => *sign == '(',
        Token::Word(word) => matches!(word.as_str(), "by" | "without"),
        Token::Text(_) => false,
    }
}

fn word_of(token: Token) -> Option<String> {
    match token {
        Token::Word(word) => Some(word),
        _ => None,
    }
}

fn until(tokens: &mut impl Iterator<Item = Token>, end: char) -> anyhow::Result<Vec<Token>> {
    let mut inner = Vec::new();
    loop {
        match tokens.next().with_context(|| format!("{end} is missing"))? {
            Token::Sign(sign) if sign == end => return Ok(inner),
            token => inner.push(token),
        }
    }
}

fn matchers(tokens: Vec<Token>) -> anyhow::Result<Vec<(String, String, String)>> {
    let one = |tokens: &[Token]| match tokens {
        [Token::Word(label), operator @ .., Token::Text(value)] => {
            let operator = operator.iter().map(|token| match token {
                Token::Sign(sign) => Ok(*sign),
                token => bail!("{token:?} is no operator"),
            });
            Ok((
                label.clone(),
                operator.collect::<anyhow::Result<_>>()?,
                value.clone(),
            ))
        }
        tokens => bail!("{tokens:?} is no matcher"),
    };
    tokens
        .split(|token| *token == Token::Sign(','))
        .filter(|tokens| !tokens.is_empty())
        .map(one)
        .collect()
}

fn tokens(query: &str) -> anyhow::Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut characters = query.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            'a'..='z' | 'A'..='Z' | '_' | ':' => {
                let end = skip(&mut characters, |c| {
                    c.is_ascii_alphanumeric() || matches!(c, '_' | ':')
                });
                tokens.push(Token::Word(query[at..end.unwrap_or(query.len())].to_owned()));
            }
            // Numbers and durations, and Grafana's variables such as $__rate_interval.
            '0'..='9' | '.' | '$' => {
                skip(&mut characters, |c| {
                    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '{' | '}')
                });
            }
            '"' | '\'' => {
                let end = skip(&mut characters, |c| c != character);
                let end = end.with_context(|| format!("{query}: a quote is missing"))?;
                characters.next();
                tokens.push(Token::Text(query[at + 1..end].to_owned()));
            }
            ' ' | '\n' | '\t' => {}
            sign => tokens.push(Token::Sign(sign)),
        }
    }
    Ok(tokens)
}

/// Passes over these characters; where the first other one is.
fn skip(characters: &mut Peekable<CharIndices<'_>>, mut is: impl FnMut(char) -> bool) -> Option<usize> {
    while characters.next_if(|(_, character)| is(*character)).is_some() {}
    characters.peek().map(|(at, _)| *at)
}

/// What is wrong with a query, given the names that there are with their labels and values.
///
/// # Errors
/// With the first name, label or value that there is not.
pub fn check(
    query: &str,
    names: &BTreeMap<&str, BTreeMap<&str, std::collections::BTreeSet<&str>>>,
    given: &[&str],
) -> anyhow::Result<Asked> {
    let asked = asked(query)?;
    for selector in &asked.selectors {
        let metric = selector.metric.as_str();
        if given.contains(&metric) {
            continue;
        }
        let labels = names
            .get(metric)
            .with_context(|| format!("{query}: nothing exports {metric}"))?;
        for (label, operator, value) in &selector.matchers {
            // Prometheus itself adds these.
            if matches!(label.as_str(), "job" | "instance") {
                continue;
            }
            let values = labels
                .get(label.as_str())
                .with_context(|| format!("{query}: {metric} has no label {label}"))?;
            let known = |value: &str| values.contains(value) || value.contains('$');
            let all = match operator.as_str() {
                "=" | "!=" => known(value),
                // Alternatives are written out; anything else would have to be tried.
                _ => value.split('|').all(|value| known(value) || value.contains('.')),
            };
            if !all {
                bail!("{query}: {label} of {metric} is never {value}");
            }
        }
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_told_from_functions_labels_and_words() {
        let asked = asked(
            "histogram_quantile(0.99, sum by (le, class) (rate(delay_seconds_bucket{class=~\"audio|video\", \
             job='relay'}[$__rate_interval]))) > 0.1 and on (instance) sessions / ignoring(x) limit offset 5m == bool 1e3",
        )
        .expect("a query");
        let selector = |metric: &str, matchers: &[[&str; 3]]| Selector {
            metric: metric.into(),
            matchers: matchers
                .iter()
                .map(|[a, b, c]| ((*a).into(), (*b).into(), (*c).into()))
                .collect(),
        };
        let expected = [
            selector(
                "delay_seconds_bucket",
                &[["class", "=~", "audio|video"], ["job", "=", "relay"]],
            ),
            selector("sessions", &[]),
            selector("limit", &[]),
        ];
        assert_eq!(asked.selectors, expected);
        assert_eq!(asked.groupings, ["le", "class", "instance", "x"]);
    }

    #[test]
    fn what_there_is_not_is_found() {
        let values = ["audio"].into_iter().collect();
        let names = BTreeMap::from([("packets", BTreeMap::from([("class", values)]))]);
        let check = |query| check(query, &names, &["up"]);
        assert!(check("rate(packets{class=\"audio\"}[1m]) * up").is_ok());
        for wrong in [
            "packet",
            "packets{kind=\"audio\"}",
            "packets{class=\"sound\"}",
            "packets{class=~\"audio|sound\"}",
            "packets{class=\"audio\"",
            "packets{class=\"audio}",
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
