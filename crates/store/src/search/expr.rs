//! [`Query`] to a DataFusion expression.
//!
//! What columns can compare is compared by columns, so that statistics and bloom filters count. All else is a function
//! of one argument that carries its test inside. A field that is not in its column may still be in the overflow, so
//! both are asked; `_overflow IS NOT NULL` costs nothing where a file has none.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, BooleanArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::{Column, Result as EngineResult, ScalarValue, exec_err, plan_datafusion_err, plan_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, binary_expr,
    cast, lit,
};
use panoptes_model::{EventId, FieldType, Schema, Timestamp};

use super::item::{Matcher, PatternTooLarge, span};
use super::query::{Bound, Query, Test};
use crate::pivot::{
    EVENT_ID, FRAME, INDEX, INGESTED, INPUT, MESSAGE, ORIGINAL, OVERFLOW, ROW, SEGMENT, SENT, SOURCE, TIME, is_reserved,
};

/// A query, ready for the engine.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) expr: Expr,
    /// The fields that it looks at, fixed columns included.
    pub(super) fields: Vec<(String, FieldType)>,
}

/// The type of the column called `name`.
pub(super) fn type_of(name: &str, schema: &Schema) -> FieldType {
    match name {
        TIME | INGESTED => FieldType::Timestamp,
        _ => schema.id(name).map_or(FieldType::Text, |it| schema.field_type(it)),
    }
}

pub(super) fn filter(query: &Query, schema: &Schema) -> Result<Filter, PatternTooLarge> {
    let mut lowering = Lowering { schema, fields: Vec::new() };
    let expr = lowering.query(query)?;
    Ok(Filter { expr, fields: lowering.fields })
}

pub(super) fn column(name: &str) -> Expr {
    // Not `col`: that would take the dots apart.
    Expr::Column(Column::new_unqualified(name))
}

/// `event.id` as text.
pub(super) fn id_text() -> Expr {
    let text = |name| cast(column(name), DataType::Utf8);
    let joined = |left, right| binary_expr(left, Operator::StringConcat, right);
    joined(joined(text(FRAME), lit("-")), text(INDEX))
}

pub(super) fn time_literal(time: Timestamp) -> Expr {
    lit(ScalarValue::TimestampNanosecond(Some(time.0), Some("+00:00".into())))
}

struct Lowering<'s> {
    schema: &'s Schema,
    fields: Vec<(String, FieldType)>,
}

impl Lowering<'_> {
    fn query(&mut self, query: &Query) -> Result<Expr, PatternTooLarge> {
        Ok(match query {
            Query::All => lit(true),
            Query::Words(glob) => self.texts(&Matcher::words(glob)?),
            Query::Pattern(pattern) => self.texts(&Matcher::pattern(pattern)?),
            Query::Field { name, test } => self.test(name, test)?,
            // What is unknown does not match, so its contrary does.
            Query::Not(inner) => Expr::IsNotTrue(Box::new(self.query(inner)?)),
            Query::And(parts) => self.joined(parts, Operator::And)?,
            Query::Or(parts) => self.joined(parts, Operator::Or)?,
        })
    }

    /// The message, or the record as it came.
    fn texts(&mut self, matcher: &Matcher) -> Expr {
        let message = self.field(MESSAGE).0;
        let original = self.field(ORIGINAL).0;
        call(Scope::Items, matcher, message).or(call(Scope::Whole, matcher, original))
    }

    /// As a balanced tree: the engine recurses into it.
    fn joined(&mut self, parts: &[Query], operator: Operator) -> Result<Expr, PatternTooLarge> {
        match parts {
            [only] => self.query(only),
            _ => {
                let (left, right) = parts.split_at(parts.len() / 2);
                Ok(binary_expr(self.joined(left, operator)?, operator, self.joined(right, operator)?))
            }
        }
    }

    /// The column of a field, which is then looked at, and its type.
    fn field(&mut self, name: &str) -> (Expr, FieldType) {
        let field_type = type_of(name, self.schema);
        if self.fields.iter().all(|it| it.0 != name) {
            self.fields.push((name.to_owned(), field_type));
        }
        (column(name), field_type)
    }

    fn test(&mut self, name: &str, test: &Test) -> Result<Expr, PatternTooLarge> {
        match name {
            ROW | SEGMENT => Ok(lit(false)),
            TIME | INGESTED => self.column_test(name, test),
            ORIGINAL | SOURCE | INPUT | OVERFLOW => self.column_test(name, test),
            FRAME | INDEX => Ok(number_test(column(name), test)),
            EVENT_ID => Ok(match test {
                Test::Exists => lit(true),
                Test::Is(text) => match text.parse::<EventId>() {
                    Ok(id) => column(FRAME).eq(lit(id.frame.0)).and(column(INDEX).eq(lit(id.index))),
                    Err(_) => lit(false),
                },
                // Ids are numbers with a line between: the text of each is made only for such rare questions.
                other => {
                    let matcher = Matcher::new(other)?;
                    call(Scope::Whole, &matcher, id_text())
                }
            }),
            _ => match name.strip_prefix(SENT) {
                // The sender's own id has a column like any field; its other such names went to the overflow.
                Some(EVENT_ID) => self.column_and_overflow(EVENT_ID, test),
                Some(sent) if is_reserved(sent) => overflow_test(sent, test),
                _ => self.column_and_overflow(name, test),
            },
        }
    }

    fn column_and_overflow(&mut self, name: &str, test: &Test) -> Result<Expr, PatternTooLarge> {
        Ok(self.column_test(name, test)?.or(overflow_test(name, test)?))
    }

    fn column_test(&mut self, name: &str, test: &Test) -> Result<Expr, PatternTooLarge> {
        let (value, field_type) = self.field(name);
        if matches!(test, Test::Exists | Test::Range { low: None, high: None }) {
            return Ok(value.is_not_null());
        }
        Ok(match (field_type, test) {
            (FieldType::Text, test) => call(Scope::Items, &Matcher::new(test)?, value),
            (FieldType::Ip, Test::Is(text)) => {
                let plain = text.parse::<std::net::IpAddr>().map_or(text.clone(), |it| it.to_canonical().to_string());
                call(Scope::Items, &Matcher::new(&Test::Is(plain))?, value)
            }
            (FieldType::Ip, test) => call(Scope::Items, &Matcher::new(test)?, value),
            (FieldType::Timestamp, test) => time_test(value, test),
            (FieldType::Integer | FieldType::Float | FieldType::Boolean, Test::Like(_) | Test::Pattern(_)) => {
                call(Scope::Whole, &Matcher::new(test)?, value)
            }
            (FieldType::Integer | FieldType::Float, test) => number_test(value, test),
            (FieldType::Boolean, Test::Is(text)) => match text.parse::<bool>() {
                Ok(truth) => value.eq(lit(truth)),
                Err(_) => lit(false),
            },
            (FieldType::Boolean, _) => lit(false),
        })
    }
}

fn number_test(value: Expr, test: &Test) -> Expr {
    let compare = |text: &str, operator| match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(number), _) => binary_expr(value.clone(), operator, lit(number)),
        (Err(_), Ok(number)) => binary_expr(cast(value.clone(), DataType::Float64), operator, lit(number)),
        _ => lit(false),
    };
    match test {
        Test::Exists => value.is_not_null(),
        Test::Is(text) => compare(text, Operator::Eq),
        Test::Range { low, high } => ends(&value, low, high, |bound, lower| {
            let operator = match (lower, bound.inclusive) {
                (true, true) => Operator::GtEq,
                (true, false) => Operator::Gt,
                (false, true) => Operator::LtEq,
                (false, false) => Operator::Lt,
            };
            compare(&bound.value, operator)
        }),
        Test::Like(_) | Test::Network(_) | Test::Pattern(_) => lit(false),
    }
}

fn time_test(value: Expr, test: &Test) -> Expr {
    let compare = |operator, time| binary_expr(value.clone(), operator, time_literal(time));
    match test {
        Test::Exists => value.is_not_null(),
        Test::Is(text) => match span(text) {
            Some((from, to)) => compare(Operator::GtEq, from).and(compare(Operator::LtEq, to)),
            None => lit(false),
        },
        // A day belongs to the range as a whole or not at all.
        Test::Range { low, high } => ends(&value, low, high, |bound, lower| match (span(&bound.value), lower) {
            (Some((from, _)), true) if bound.inclusive => compare(Operator::GtEq, from),
            (Some((_, to)), true) => compare(Operator::Gt, to),
            (Some((_, to)), false) if bound.inclusive => compare(Operator::LtEq, to),
            (Some((from, _)), false) => compare(Operator::Lt, from),
            (None, _) => lit(false),
        }),
        Test::Like(_) | Test::Network(_) | Test::Pattern(_) => lit(false),
    }
}

/// Both ends of a range; with none the value only has to be there.
fn ends(value: &Expr, low: &Option<Bound>, high: &Option<Bound>, test: impl Fn(&Bound, bool) -> Expr) -> Expr {
    let tests = [(low, true), (high, false)];
    tests
        .into_iter()
        .filter_map(|(bound, lower)| Some(test(bound.as_ref()?, lower)))
        .reduce(Expr::and)
        .unwrap_or_else(|| value.clone().is_not_null())
}

fn overflow_test(name: &str, test: &Test) -> Result<Expr, PatternTooLarge> {
    let overflow = || column(OVERFLOW);
    let found = call(Scope::Overflow(name.to_owned()), &Matcher::new(test)?, overflow());
    Ok(overflow().is_not_null().and(found))
}

fn call(scope: Scope, matcher: &Matcher, argument: Expr) -> Expr {
    let function = Matches { scope, matcher: matcher.clone(), signature: Signature::any(1, Volatility::Immutable) };
    ScalarUDF::new_from_impl(function).call(vec![argument])
}

/// `matches(column, 'value')` in SQL: the value as it would follow `column:` in a query.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct MatchesTest {
    signature: Signature,
}

impl MatchesTest {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for MatchesTest {
    fn name(&self) -> &str {
        "matches"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Boolean)
    }

    /// Becomes [`Matches`] while the query is planned, so that mistakes are found then.
    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> EngineResult<ExprSimplifyResult> {
        let [value, Expr::Literal(test, _)] = args.as_slice() else {
            return plan_err!("`matches` takes a column and a value, which is text in quotes");
        };
        let Some(text) = test.try_as_str().flatten() else {
            return plan_err!("the value that `matches` takes is text in quotes");
        };
        let test = Test::parse(text).map_err(|error| plan_datafusion_err!("`{text}`: {}", error.problem()))?;
        let matcher = Matcher::new(&test).map_err(|error| plan_datafusion_err!("`{text}`: {error}"))?;
        Ok(ExprSimplifyResult::Simplified(call(Scope::Items, &matcher, value.clone())))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        exec_err!("`matches` is replaced while the query is planned")
    }
}

/// What the text of the argument is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// One value.
    Whole,
    /// One value or a list.
    Items,
    /// The overflow, of which the entries with this name are looked at.
    Overflow(String),
}

/// Whether a text passes a test.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Matches {
    pub(super) scope: Scope,
    pub(super) matcher: Matcher,
    signature: Signature,
}

impl Matches {
    fn matches(&self, text: &str) -> bool {
        match &self.scope {
            Scope::Whole => self.matcher.matches(text),
            Scope::Items => self.matcher.matches_some(text),
            Scope::Overflow(name) => self.matcher.matches_overflow(text, name),
        }
    }

    fn matches_all(&self, texts: &ArrayRef) -> EngineResult<BooleanArray> {
        fn each<'t>(texts: impl Iterator<Item = Option<&'t str>>, test: impl Fn(&str) -> bool) -> BooleanArray {
            texts.map(|it| it.map(&test)).collect()
        }
        let test = |text: &str| self.matches(text);
        match texts.data_type() {
            DataType::Utf8View => Ok(each(texts.as_string_view().iter(), test)),
            DataType::Utf8 => Ok(each(texts.as_string::<i32>().iter(), test)),
            DataType::LargeUtf8 => Ok(each(texts.as_string::<i64>().iter(), test)),
            // Numbers and truths as `Value::to_text` writes them: a cast of the engine would make `5.0` of 5.
            DataType::Int64 => {
                Ok(texts.as_primitive::<Int64Type>().iter().map(|it| Some(test(&it?.to_string()))).collect())
            }
            DataType::Float64 => {
                Ok(texts.as_primitive::<Float64Type>().iter().map(|it| Some(test(&it?.to_string()))).collect())
            }
            DataType::Boolean => Ok(texts.as_boolean().iter().map(|it| Some(test(&it?.to_string()))).collect()),
            DataType::Null => Ok(BooleanArray::new_null(texts.len())),
            other => exec_err!("`{}` takes text, not {other}", self.name()),
        }
    }
}

impl ScalarUDFImpl for Matches {
    fn name(&self) -> &str {
        match self.scope {
            Scope::Whole => "matches",
            Scope::Items => "item_matches",
            Scope::Overflow(_) => "overflow_matches",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(texts)] => Ok(ColumnarValue::Array(Arc::new(self.matches_all(texts)?))),
            [ColumnarValue::Scalar(text)] => {
                let found = self.matches_all(&text.to_array()?)?;
                let found = (!found.is_null(0)).then(|| found.value(0));
                Ok(ColumnarValue::Scalar(ScalarValue::Boolean(found)))
            }
            _ => exec_err!("`{}` takes one argument", self.name()),
        }
    }
}
