//! The language of `successCondition` and `failureCondition`: the part of expr-lang that judges numbers.
//!
//! Understood: literals, `result`, indexing, comparisons, arithmetic, `and`/`or`/`not` in both spellings, `?:`, `??`,
//! `in`, lists, members of objects (`result.name`, `result?.name`, `result["name"]`), `contains`, `startsWith`,
//! `endsWith`, and the functions `asInt`, `asFloat`, `isNaN`, `isInf`, `isNil`, `default`, `len`, `abs`, `min`, `max`,
//! `sum`, `mean`, `all`, `any`, `none`, `count`, `filter`, `map`. Not understood: methods, `matches`, texts put together.

use std::collections::BTreeSet;

use super::value::{Fault, Value, fault};

/// A condition, parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    text: String,
    root: Expression,
}

#[derive(Debug, Clone, PartialEq)]
enum Expression {
    Literal(Value),
    Result,
    Item,
    List(Vec<Expression>),
    Index(Box<Expression>, Box<Expression>),
    /// A member by its name; with `?.` nothing has members that are nothing.
    Member(Box<Expression>, String, bool),
    Not(Box<Expression>),
    Minus(Box<Expression>),
    Binary(&'static str, Box<Expression>, Box<Expression>),
    Choice(Box<[Expression; 3]>),
    Call(&'static str, Vec<Expression>),
}

/// Functions with the number of their arguments (0: one or more).
const FUNCTIONS: &[(&str, usize)] = &[
    ("asInt", 1),
    ("asFloat", 1),
    ("isNaN", 1),
    ("isInf", 1),
    ("isNil", 1),
    ("default", 2),
    ("len", 1),
    ("abs", 1),
    ("min", 0),
    ("max", 0),
    ("sum", 1),
    ("mean", 1),
    ("all", 2),
    ("any", 2),
    ("none", 2),
    ("count", 2),
    ("filter", 2),
    ("map", 2),
];

/// Binary operators by rising strength.
const LEVELS: &[&[&str]] = &[
    &["??"],
    &["||", "or"],
    &["&&", "and"],
    &["==", "!=", "<=", ">=", "<", ">", "in", "not in", "contains", "startsWith", "endsWith"],
    &["+", "-"],
    &["*", "/", "%"],
    &["**", "^"],
];

impl Condition {
    /// Parses a condition. The fault says what is not understood, and where.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let tokens = tokens(text)?;
        if tokens.len() > TOKENS_MAX {
            return fault(format!("the condition has more than {TOKENS_MAX} words"));
        }
        let mut parser = Parser { tokens: &tokens, at: 0, depth: 0 };
        let root = parser.choice()?;
        match parser.tokens.get(parser.at) {
            None => Ok(Self { text: text.to_owned(), root }),
            Some(token) => fault(format!("`{}` is not expected in `{text}`", token.text)),
        }
    }

    /// The condition as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it holds for a result.
    pub fn holds(&self, result: &Value) -> Result<bool, Fault> {
        match evaluate(&self.root, result, None)? {
            Value::Bool(truth) => Ok(truth),
            other => fault(format!("the condition is {}, not true or false", other.kind())),
        }
    }

    /// The members of the result that it asks for, as `data.ok`; none where it asks for the result itself.
    pub fn members(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        paths(&self.root, &mut found);
        found
    }

    /// The bound of `result OPERATOR number`, the usual form: the operator and the number.
    pub fn bound(&self) -> Option<(&'static str, f64)> {
        let Expression::Binary(operator, left, right) = &self.root else { return None };
        let is_result = match left.as_ref() {
            Expression::Result => true,
            Expression::Index(list, at) => {
                **list == Expression::Result && **at == Expression::Literal(Value::Int(0))
            }
            Expression::Call("asFloat" | "asInt", arguments) => arguments[0] == Expression::Result,
            _ => false,
        };
        let Expression::Literal(number) = right.as_ref() else { return None };
        let number = number.number("a bound").ok()?;
        (is_result && ["<", "<=", ">", ">="].contains(operator)).then_some((*operator, number))
    }
}

/// The path of a member of the result; none of anything else.
fn path(expression: &Expression) -> Option<String> {
    let (of, name) = match expression {
        Expression::Member(of, name, _) => (of, name),
        Expression::Index(of, at) => match at.as_ref() {
            Expression::Literal(Value::Text(name)) => (of, name),
            _ => return None,
        },
        _ => return None,
    };
    match of.as_ref() {
        Expression::Result => Some(name.clone()),
        inner => Some(format!("{}.{name}", path(inner)?)),
    }
}

fn paths(expression: &Expression, found: &mut BTreeSet<String>) {
    if let Some(path) = path(expression) {
        found.insert(path);
        return;
    }
    match expression {
        Expression::Literal(_) | Expression::Result | Expression::Item => {}
        Expression::List(items) | Expression::Call(_, items) => {
            for item in items {
                paths(item, found);
            }
        }
        Expression::Index(a, b) | Expression::Binary(_, a, b) => {
            paths(a, found);
            paths(b, found);
        }
        Expression::Member(inner, ..) | Expression::Not(inner) | Expression::Minus(inner) => {
            paths(inner, found);
        }
        Expression::Choice(parts) => parts.iter().for_each(|part| paths(part, found)),
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Token {
    text: String,
    is_text: bool,
}

fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        let c = characters[at];
        let rest = &characters[at..];
        let length = if c.is_whitespace() {
            at += 1;
            continue;
        } else if c == '"' || c == '\'' {
            let Some(end) = rest[1..].iter().position(|other| *other == c) else {
                return fault(format!("a text is not closed in `{text}`"));
            };
            tokens.push(Token { text: rest[1..=end].iter().collect(), is_text: true });
            at += end + 2;
            continue;
        } else if c.is_ascii_digit() || (c == '.' && rest.get(1).is_some_and(char::is_ascii_digit)) {
            number_length(rest)
        } else if c.is_alphabetic() || c == '_' {
            rest.iter().position(|c| !c.is_alphanumeric() && *c != '_').unwrap_or(rest.len())
        } else {
            let two: String = rest.iter().take(2).collect();
            if ["&&", "||", "==", "!=", "<=", ">=", "**", "??", "?."].contains(&two.as_str()) { 2 } else { 1 }
        };
        tokens.push(Token { text: rest[..length].iter().collect(), is_text: false });
        at += length;
    }
    Ok(tokens)
}

fn number_length(rest: &[char]) -> usize {
    let mut length = 0;
    while let Some(c) = rest.get(length) {
        let after_e = length > 0 && matches!(rest[length - 1], 'e' | 'E');
        if c.is_ascii_digit() || matches!(c, '.' | '_' | 'e' | 'E') || (after_e && matches!(c, '+' | '-')) {
            length += 1;
        } else {
            break;
        }
    }
    length
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: u32,
}

/// A condition is a line; what is chained is nested when it is evaluated.
const TOKENS_MAX: usize = 500;

/// Deepest nesting of a condition.
const DEPTH_MAX: u32 = 32;

impl Parser<'_> {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).filter(|token| !token.is_text).map(|token| token.text.as_str())
    }

    fn take(&mut self, wanted: &str) -> bool {
        let is_it = self.peek() == Some(wanted);
        self.at += usize::from(is_it);
        is_it
    }

    fn need(&mut self, wanted: &str) -> Result<(), Fault> {
        if self.take(wanted) {
            return Ok(());
        }
        let found = self.tokens.get(self.at).map_or("the end", |token| token.text.as_str());
        fault(format!("`{wanted}` is expected, and here is {found}"))
    }

    fn choice(&mut self) -> Result<Expression, Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return fault(format!("the condition is nested more than {DEPTH_MAX} deep"));
        }
        let condition = self.binary(0)?;
        let whole = if self.take("?") {
            let yes = self.choice()?;
            self.need(":")?;
            Expression::Choice(Box::new([condition, yes, self.choice()?]))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(whole)
    }

    fn binary(&mut self, level: usize) -> Result<Expression, Fault> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = self.operator(operators) {
            let right = self.binary(level + 1)?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn operator(&mut self, operators: &[&'static str]) -> Option<&'static str> {
        let word = self.peek()?;
        if word == "not" && operators.contains(&"not in") {
            let next = self.tokens.get(self.at + 1)?;
            return (next.text == "in").then(|| {
                self.at += 2;
                "not in"
            });
        }
        let found = operators.iter().find(|operator| **operator == word).copied()?;
        self.at += 1;
        Some(match found {
            "or" => "||",
            "and" => "&&",
            "^" => "**",
            other => other,
        })
    }

    fn unary(&mut self) -> Result<Expression, Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return fault(format!("the condition is nested more than {DEPTH_MAX} deep"));
        }
        let found = if self.take("!") || self.take("not") {
            Expression::Not(Box::new(self.unary()?))
        } else if self.take("-") {
            Expression::Minus(Box::new(self.unary()?))
        } else if self.take("+") {
            self.unary()?
        } else {
            self.indexed()?
        };
        self.depth -= 1;
        Ok(found)
    }

    fn indexed(&mut self) -> Result<Expression, Fault> {
        let mut found = self.primary()?;
        loop {
            if self.take("[") {
                let index = self.choice()?;
                self.need("]")?;
                found = Expression::Index(Box::new(found), Box::new(index));
            } else if matches!(self.peek(), Some("." | "?.")) {
                let lenient = self.peek() == Some("?.");
                self.at += 1;
                found = self.member(found, lenient)?;
            } else {
                return Ok(found);
            }
        }
    }

    fn member(&mut self, of: Expression, lenient: bool) -> Result<Expression, Fault> {
        let name = self.tokens.get(self.at).filter(|token| !token.is_text).map(|token| token.text.clone());
        let is_name = |name: &String| name.starts_with(|c: char| c.is_alphabetic() || c == '_');
        let Some(name) = name.filter(is_name) else { return fault("a name is expected after the point") };
        self.at += 1;
        if self.peek() == Some("(") {
            return fault(format!("methods of objects (`.{name}()`) are not understood"));
        }
        Ok(Expression::Member(Box::new(of), name, lenient))
    }

    fn primary(&mut self) -> Result<Expression, Fault> {
        let Some(token) = self.tokens.get(self.at).cloned() else { return fault("the condition ends early") };
        self.at += 1;
        if token.is_text {
            return Ok(Expression::Literal(Value::Text(token.text)));
        }
        let text = token.text.as_str();
        if text.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return number(text);
        }
        match text {
            "(" => {
                let inner = self.choice()?;
                self.need(")")?;
                Ok(inner)
            }
            "[" => self.until("]").map(Expression::List),
            "{" => {
                let inner = self.choice()?;
                self.need("}")?;
                Ok(inner)
            }
            "#" => Ok(Expression::Item),
            "true" => Ok(Expression::Literal(Value::Bool(true))),
            "false" => Ok(Expression::Literal(Value::Bool(false))),
            "nil" => Ok(Expression::Literal(Value::Nil)),
            "result" => Ok(Expression::Result),
            name if self.take("(") => self.call(name),
            name => fault(format!("unknown name `{name}`")),
        }
    }

    fn call(&mut self, name: &str) -> Result<Expression, Fault> {
        let Some((name, wanted)) = FUNCTIONS.iter().find(|(known, _)| *known == name) else {
            return fault(format!("unknown function `{name}`"));
        };
        let arguments = self.until(")")?;
        let fits = if *wanted == 0 { !arguments.is_empty() } else { arguments.len() == *wanted };
        if !fits {
            return fault(format!("`{name}` takes {wanted} arguments, and here are {}", arguments.len()));
        }
        Ok(Expression::Call(name, arguments))
    }

    fn until(&mut self, end: &str) -> Result<Vec<Expression>, Fault> {
        let mut items = Vec::new();
        while !self.take(end) {
            if !items.is_empty() {
                self.need(",")?;
            }
            items.push(self.choice()?);
        }
        Ok(items)
    }
}

fn number(text: &str) -> Result<Expression, Fault> {
    let plain = text.replace('_', "");
    if let Ok(int) = plain.parse::<i64>() {
        return Ok(Expression::Literal(Value::Int(int)));
    }
    match plain.parse::<f64>() {
        Ok(float) => Ok(Expression::Literal(Value::Float(float))),
        Err(_) => fault(format!("`{text}` is not a number")),
    }
}

fn evaluate(expression: &Expression, result: &Value, item: Option<&Value>) -> Result<Value, Fault> {
    let value = |expression: &Expression| evaluate(expression, result, item);
    match expression {
        Expression::Literal(literal) => Ok(literal.clone()),
        Expression::Result => Ok(result.clone()),
        Expression::Item => item.cloned().ok_or(Fault("`#` stands outside of a list's function".to_owned())),
        Expression::List(items) => items.iter().map(value).collect::<Result<_, _>>().map(Value::List),
        Expression::Index(list, at) => index(&value(list)?, &value(at)?),
        Expression::Member(of, name, lenient) => member(&value(of)?, name, *lenient),
        Expression::Not(inner) => Ok(Value::Bool(!value(inner)?.truth("not")?)),
        Expression::Minus(inner) => match value(inner)? {
            Value::Int(int) => Ok(Value::Int(int.wrapping_neg())),
            other => Ok(Value::Float(-other.number("-")?)),
        },
        Expression::Choice(parts) => {
            let which = if value(&parts[0])?.truth("?")? { 1 } else { 2 };
            value(&parts[which])
        }
        Expression::Binary(operator, left, right) => {
            let left = value(left)?;
            match *operator {
                "&&" if !left.truth("&&")? => Ok(Value::Bool(false)),
                "||" if left.truth("||")? => Ok(Value::Bool(true)),
                "&&" | "||" => Ok(Value::Bool(value(right)?.truth(operator)?)),
                "??" if left != Value::Nil => Ok(left),
                "??" => value(right),
                _ => binary(operator, &left, &value(right)?),
            }
        }
        Expression::Call(name @ ("all" | "any" | "none"), arguments) => {
            let list = value(&arguments[0])?;
            let mut held = 0;
            let items = list.list(name)?;
            for item in items {
                held += usize::from(evaluate(&arguments[1], result, Some(item))?.truth(name)?);
            }
            Ok(Value::Bool(match *name {
                "all" => held == items.len(),
                "any" => held > 0,
                _ => held == 0,
            }))
        }
        Expression::Call(name @ ("count" | "filter" | "map"), arguments) => {
            let list = value(&arguments[0])?;
            let mut kept = Vec::new();
            for item in list.list(name)? {
                let of_item = evaluate(&arguments[1], result, Some(item))?;
                match *name {
                    "map" => kept.push(of_item),
                    _ if of_item.truth(name)? => kept.push(item.clone()),
                    _ => {}
                }
            }
            Ok(if *name == "count" { Value::Int(kept.len() as i64) } else { Value::List(kept) })
        }
        Expression::Call(name, arguments) => {
            let arguments: Vec<Value> = arguments.iter().map(value).collect::<Result<_, _>>()?;
            call(name, &arguments, result)
        }
    }
}

fn member(of: &Value, name: &str, lenient: bool) -> Result<Value, Fault> {
    match of {
        // A member that an object has not is nothing.
        Value::Map(members) => Ok(members.get(name).cloned().unwrap_or(Value::Nil)),
        Value::Nil if lenient => Ok(Value::Nil),
        other => fault(format!("`.{name}` needs an object, and this is {}", other.kind())),
    }
}

fn index(list: &Value, at: &Value) -> Result<Value, Fault> {
    if let (Value::Map(_), Value::Text(name)) = (list, at) {
        return member(list, name, false);
    }
    let items = list.list("an index")?;
    let Value::Int(at) = at else { return fault(format!("an index is an int, and this is {}", at.kind())) };
    let from_start = if *at < 0 { *at + items.len() as i64 } else { *at };
    let found = usize::try_from(from_start).ok().and_then(|at| items.get(at));
    found.cloned().ok_or(Fault(format!("index {at} is out of range: the list has {} items", items.len())))
}

fn binary(operator: &str, left: &Value, right: &Value) -> Result<Value, Fault> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let order = |wanted: &[std::cmp::Ordering]| -> Result<Value, Fault> {
        Ok(Value::Bool(left.order(right)?.is_some_and(|order| wanted.contains(&order))))
    };
    match operator {
        "==" => Ok(Value::Bool(left.equals(right))),
        "!=" => Ok(Value::Bool(!left.equals(right))),
        "<" => order(&[Less]),
        "<=" => order(&[Less, Equal]),
        ">" => order(&[Greater]),
        ">=" => order(&[Greater, Equal]),
        "contains" | "startsWith" | "endsWith" => match (left, right) {
            (Value::Text(text), Value::Text(part)) => Ok(Value::Bool(match operator {
                "contains" => text.contains(part.as_str()),
                "startsWith" => text.starts_with(part.as_str()),
                _ => text.ends_with(part.as_str()),
            })),
            _ => fault(format!("`{operator}` needs two texts")),
        },
        "in" | "not in" => {
            let is_in = right.list("in")?.iter().any(|item| item.equals(left));
            Ok(Value::Bool(is_in == (operator == "in")))
        }
        _ => arithmetic(operator, left, right),
    }
}

fn arithmetic(operator: &str, left: &Value, right: &Value) -> Result<Value, Fault> {
    if let (Value::Int(a), Value::Int(b)) = (left, right) {
        match operator {
            "+" => return Ok(Value::Int(a.wrapping_add(*b))),
            "-" => return Ok(Value::Int(a.wrapping_sub(*b))),
            "*" => return Ok(Value::Int(a.wrapping_mul(*b))),
            "%" if *b != 0 => return Ok(Value::Int(a.wrapping_rem(*b))),
            _ => {}
        }
    }
    let (a, b) = (left.number(operator)?, right.number(operator)?);
    match operator {
        "+" => Ok(Value::Float(a + b)),
        "-" => Ok(Value::Float(a - b)),
        "*" => Ok(Value::Float(a * b)),
        "/" => Ok(Value::Float(a / b)),
        "**" => Ok(Value::Float(libm::pow(a, b))),
        _ => fault(format!("`{operator}` needs whole numbers, and the second one not 0")),
    }
}

fn call(name: &str, arguments: &[Value], result: &Value) -> Result<Value, Fault> {
    let first = &arguments[0];
    let numbers = || -> Result<Vec<f64>, Fault> {
        let items = if let (Value::List(items), 1) = (first, arguments.len()) { items } else { arguments };
        items.iter().map(|item| item.number(name)).collect()
    };
    match name {
        "asInt" => as_int(first),
        "asFloat" => match first {
            Value::Text(text) => text
                .parse()
                .map(Value::Float)
                .or_else(|_| fault(format!("asFloat: `{text}` is not a number"))),
            other => other.number(name).map(Value::Float),
        },
        "isNaN" => Ok(Value::Bool(first.number(name)?.is_nan())),
        "isInf" => Ok(Value::Bool(first.number(name)?.is_infinite())),
        // Both look at the result, whatever they are given.
        "isNil" => Ok(Value::Bool(*result == Value::Nil)),
        "default" => Ok(if *result == Value::Nil { arguments[1].clone() } else { result.clone() }),
        "len" => match first {
            Value::Text(text) => Ok(Value::Int(text.chars().count() as i64)),
            other => Ok(Value::Int(other.list(name)?.len() as i64)),
        },
        "abs" => first.number(name).map(|number| Value::Float(number.abs())),
        "sum" => Ok(Value::Float(numbers()?.iter().sum())),
        "mean" => {
            let numbers = numbers()?;
            Ok(Value::Float(numbers.iter().sum::<f64>() / numbers.len() as f64))
        }
        "min" => Ok(Value::Float(numbers()?.into_iter().fold(f64::INFINITY, f64::min))),
        _ => Ok(Value::Float(numbers()?.into_iter().fold(f64::NEG_INFINITY, f64::max))),
    }
}

fn as_int(value: &Value) -> Result<Value, Fault> {
    match value {
        Value::Int(int) => Ok(Value::Int(*int)),
        Value::Float(float) => Ok(Value::Int(*float as i64)),
        Value::Text(text) => {
            text.parse().map(Value::Int).or_else(|_| fault(format!("asInt: `{text}` is not a whole number")))
        }
        other => fault(format!("asInt is not for {}", other.kind())),
    }
}
