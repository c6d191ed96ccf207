//! How much a template may make its filters do: the engine counts steps, and one step of a filter may sort a list of
//! thousands or make a text of gigabytes. So each filter pays for what it is given before it runs, and for what it
//! makes, out of one purse per body. Only `template` calls.

use minijinja::{
    Environment, Error, ErrorKind, State, Value, filters,
    value::{Kwargs, Rest, ValueKind, ValueOrKwargs},
};

/// What one body may cost: a byte of a text is 1, an element of a list 16. A body of hundreds of events costs a tenth.
const PURSE: u64 = 4 << 20;
const ELEMENT: u64 = 16;
/// The longest text that a filter may make.
const MAX_TEXT: u64 = 256 << 10;
/// The longest `range`.
const MAX_COUNT: u64 = 1_000;
/// By how much `indent` and `tojson` may move a line.
const MAX_INDENT: u64 = 100;
/// Lists in lists are followed so far.
const MAX_DEPTH: u32 = 50;

/// What is left for this body.
struct Purse(u64);

/// Filters of the engine by their names.
macro_rules! engines {
    ($($filter:ident)*) => {
        [$((stringify!($filter), Value::from_function(filters::$filter))),*]
    };
}

/// Every filter that may do much: the engine's own, and ours.
fn metered() -> impl Iterator<Item = (&'static str, Value)> {
    let engines = engines!(
        capitalize chain dictsort format groupby indent items lines list lower map max min
        reject rejectattr reverse select selectattr sort split string sum title tojson trim unique upper zip
    );
    let ours = [
        ("join", Value::from_function(join)),
        ("replace", Value::from_function(replace)),
        ("times", Value::from_function(times)),
    ];
    engines.into_iter().chain(ours)
}

/// Puts filters that pay in place of the engine's own, and takes away what makes much out of little.
pub fn meter(env: &mut Environment<'_>) {
    for name in ["batch", "slice", "pprint"] {
        env.remove_filter(name);
    }
    env.remove_global("debug");
    for (name, filter) in metered() {
        env.add_filter(name, move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
            paid(state, name, &filter, &args.into_values())
        });
    }
    env.add_function("range", |from: i64, to: Option<i64>, step: Option<i64>| {
        let (from, to) = to.map_or((0, from), |to| (from, to));
        let step = usize::try_from(step.unwrap_or(1)).ok().filter(|s| *s > 0);
        let Some(step) = step else { return Err(refused("range counts upwards only")) };
        if to.saturating_sub(from) > MAX_COUNT as i64 {
            return Err(refused(&format!("range counts to {MAX_COUNT} at most")));
        }
        Ok(Value::from((from..to).step_by(step).collect::<Vec<_>>()))
    });
}

/// Pays for a value that is written into the body.
///
/// # Errors
/// The purse is empty.
pub fn pay_for(state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let purse = state.get_or_insert_extension(Purse(PURSE));
    purse.0 = purse.0.checked_sub(weight(value, purse.0)).ok_or_else(too_much)?;
    Ok(())
}

fn paid(state: &mut State<'_, '_>, name: &str, filter: &Value, args: &[Value]) -> Result<Value, Error> {
    for value in args {
        pay_for(state, value)?;
    }
    let too_wide = match name {
        "format" => args.first().and_then(Value::as_str).is_some_and(pads),
        "indent" | "tojson" => args.iter().skip(1).any(indents),
        _ => false,
    };
    if too_wide {
        return Err(refused(&format!("{name} would make too wide a text")));
    }
    let made = filter.call(state, args)?;
    if made.as_str().is_some_and(|text| text.len() as u64 > MAX_TEXT) {
        return Err(refused(&format!("{name} makes a text of more than {} KiB", MAX_TEXT >> 10)));
    }
    pay_for(state, &made)?;
    Ok(made)
}

/// What a value costs; a little more than `most` where it is more.
fn weight(value: &Value, most: u64) -> u64 {
    fn add(value: &Value, sum: &mut u64, most: u64, depth: u32) {
        *sum += ELEMENT + value.as_bytes().map_or(0, |bytes| bytes.len() as u64);
        if depth == 0 {
            *sum = most + 1;
        }
        let nested = matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map);
        let Some(items) = nested.then(|| value.try_iter().ok()).flatten().filter(|_| *sum <= most) else {
            return;
        };
        for item in items {
            if value.kind() == ValueKind::Map {
                // A member of a map is its name and its value.
                add(&value.get_item(&item).unwrap_or_default(), sum, most, depth - 1);
            }
            add(&item, sum, most, depth - 1);
            if *sum > most {
                return;
            }
        }
    }
    let mut sum = 0;
    add(value, &mut sum, most, MAX_DEPTH);
    sum
}

/// Whether a format asks for a width of four digits, or takes it from a value.
fn pads(format: &str) -> bool {
    format.contains('*') || format.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() > 3)
}

/// Whether an argument, plain or named, moves lines too far.
fn indents(argument: &Value) -> bool {
    let far = |n: &Value| n.as_i64().is_some_and(|n| n.unsigned_abs() > MAX_INDENT);
    match Kwargs::try_from(argument.clone()) {
        Ok(named) if argument.kind() == ValueKind::Map => {
            named.args().any(|name| named.peek::<Value>(name).is_ok_and(|n| far(&n)))
        }
        _ => far(argument),
    }
}

/// As the engine's, which makes the text before anybody can look at its length.
fn join(values: &Value, between: Option<&str>) -> Result<String, Error> {
    let between = between.unwrap_or_default();
    let (mut joined, mut first) = (String::new(), true);
    for value in values.try_iter()? {
        if !std::mem::take(&mut first) {
            joined.push_str(between);
        }
        match value.as_str() {
            Some(text) => joined.push_str(text),
            None => joined.push_str(&value.to_string()),
        }
        if joined.len() as u64 > MAX_TEXT {
            return Err(refused(&format!("join makes a text of more than {} KiB", MAX_TEXT >> 10)));
        }
    }
    Ok(joined)
}

/// As `join`.
fn replace(text: &str, from: &str, to: &str) -> Result<String, Error> {
    let hits = if from.is_empty() { text.chars().count() + 1 } else { text.matches(from).count() };
    if (text.len() + hits.saturating_mul(to.len())) as u64 > MAX_TEXT {
        return Err(refused(&format!("replace makes a text of more than {} KiB", MAX_TEXT >> 10)));
    }
    Ok(text.replace(from, to))
}

/// In place of `*`, which repeats texts as well.
fn times(a: f64, b: f64) -> Value {
    let product = a * b;
    if product.fract() == 0.0 && product.abs() < 9e15 { Value::from(product as i64) } else { product.into() }
}

fn too_much() -> Error {
    refused("its filters have too much to do")
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, why.to_owned())
}
