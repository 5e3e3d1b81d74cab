//! What is wrong with a template whatever the values are, found in its syntax tree: in every branch, also in those that
//! no render has reached yet.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Stmt};
use minijinja::machinery::{Span, Token, parse, tokenize};
use sikkerkey_protocol::sync::Input;

use super::filters::{self, Arity};
use super::problem::{Place, Problem, TemplateError};
use super::{explain, syntax};

/// The longest source, in characters, as the Machine kind has it.
pub(super) const MAX_SOURCE: usize = 8192;
/// The most tokens of one tag. An expression is at most as deep as it has tokens, and the engine's parser and compiler recurse
/// into it without a limit of their own: 8 KiB of minus signs are the end of a process.
pub(super) const MAX_TAG_TOKENS: usize = 200;
/// The deepest brackets, each of which is a dozen calls of the parser.
pub(super) const MAX_BRACKETS: usize = 24;
/// The most blocks inside each other.
pub(super) const MAX_BLOCKS: usize = 24;
/// The most `elif`, each of which the engine takes for an `if` inside the one before it.
pub(super) const MAX_ELIFS: usize = 64;

/// Looks at `source`, whose variables are `inputs`.
pub(super) fn inspect(source: &str, inputs: &BTreeMap<&str, &Input>) -> Result<(), TemplateError> {
    if source.chars().count() > MAX_SOURCE {
        return Err(TemplateError { place: None, problem: Problem::TooLong });
    }
    let at = |(span, problem): (Span, Problem)| {
        let range = span.start_offset as usize..span.end_offset as usize;
        TemplateError { place: Place::of(source, range), problem }
    };
    measure(source, at)?;
    let tree = parse(source, "", syntax()).map_err(|error| syntax_error(&error, source))?;
    let mut findings =
        Findings { inputs, used: vec![], fields: vec![], parts: vec![], assigned: BTreeSet::new(), problems: vec![] };
    findings.walk(&tree);
    match findings.first() {
        Some(problem) => Err(at(problem)),
        None => Ok(()),
    }
}

/// The bytes of a good `source` that are written whatever the values are: its text outside of every tag.
pub(super) fn literal(source: &str) -> usize {
    let Ok(Stmt::Template(tree)) = parse(source, "", syntax()) else { return 0 };
    let text = tree.children.iter().map(|statement| match statement {
        Stmt::EmitRaw(text) => text.raw.len(),
        _ => 0,
    });
    text.sum()
}

/// The text of an error of syntax is made of the source alone.
fn syntax_error(error: &minijinja::Error, source: &str) -> TemplateError {
    let problem = Problem::Syntax(format!("syntax error: {}", error.detail().unwrap_or("it is not understood")));
    TemplateError { problem, ..explain(error, source) }
}

/// Refuses what could be too deep for the parser.
fn measure(source: &str, at: impl Fn((Span, Problem)) -> TemplateError) -> Result<(), TemplateError> {
    let mut depth = Depth::default();
    for token in tokenize(source, false, syntax()) {
        let (token, span) = token.map_err(|error| syntax_error(&error, source))?;
        depth.follow(&token, span).map_err(&at)?;
    }
    Ok(())
}

/// How deep the parser is, at most, after some tokens.
#[derive(Default)]
struct Depth {
    /// Where the tag begins.
    tag: Span,
    /// How many tokens of the tag there were.
    tokens: usize,
    /// Brackets that are open.
    brackets: usize,
    /// The word that a statement begins with, as long as another tag has to end it.
    begins: Option<Begin>,
    is_statement: bool,
    /// Blocks that are open.
    blocks: usize,
    elifs: usize,
}

#[derive(PartialEq, Eq)]
enum Begin {
    Always,
    /// `{% set a %}` captures what follows; `{% set a = … %}` does not.
    WithoutAssignment,
}

impl Depth {
    fn follow(&mut self, token: &Token<'_>, span: Span) -> Result<(), (Span, Problem)> {
        self.tokens += 1;
        match token {
            Token::VariableStart | Token::BlockStart => {
                (self.tag, self.tokens, self.brackets, self.begins) = (span, 0, 0, None);
                self.is_statement = matches!(token, Token::BlockStart);
            }
            Token::Ident(name) if self.tokens == 1 && self.is_statement => match *name {
                "elif" => self.elifs += 1,
                "if" | "for" | "with" | "filter" | "autoescape" => self.begins = Some(Begin::Always),
                "set" => self.begins = Some(Begin::WithoutAssignment),
                name if name.starts_with("end") => self.blocks = self.blocks.saturating_sub(1),
                _ => {}
            },
            Token::Assign if self.brackets == 0 && self.begins == Some(Begin::WithoutAssignment) => self.begins = None,
            Token::BlockEnd if self.begins.is_some() => self.blocks += 1,
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => self.brackets += 1,
            Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                self.brackets = self.brackets.saturating_sub(1);
            }
            _ => {}
        }
        let limits = [
            (self.tokens > MAX_TAG_TOKENS, self.tag, Problem::TagTooLong),
            (self.brackets > MAX_BRACKETS, span, Problem::BracketsTooDeep),
            (self.blocks > MAX_BLOCKS, self.tag, Problem::BlocksTooDeep),
            (self.elifs > MAX_ELIFS, span, Problem::TooManyElifs),
        ];
        limits.into_iter().find(|(is_over, ..)| *is_over).map_or(Ok(()), |(_, span, problem)| Err((span, problem)))
    }
}

struct Findings<'a, 's> {
    inputs: &'a BTreeMap<&'a str, &'a Input>,
    used: Vec<(Span, &'s str)>,
    /// A field of a variable that is text, as long as the template gives it no other value.
    fields: Vec<(Span, &'s str, String)>,
    /// A part of a variable.
    parts: Vec<(Span, &'s str)>,
    /// What the template gives a value itself, anywhere in it.
    assigned: BTreeSet<&'s str>,
    problems: Vec<(Span, Problem)>,
}

enum Node<'t, 's> {
    Statement(&'t Stmt<'s>),
    Expression(&'t Expr<'s>),
    /// An expression where a list may stand.
    List(&'t Expr<'s>),
}

/// The filters that take a list.
const OF_LISTS: [&str; 7] = ["join", "first", "last", "length", "json", "tojson", "yaml"];

/// Whether the value is a list or map that the template makes.
///
/// No variable ever holds one: of lists that hold each other twice, ten lines make one with more items than there is time or
/// memory for, and the engine's comparison and concatenation go through all of it, whatever fuel is left.
fn is_list(expression: &Expr<'_>) -> bool {
    let mut expression = expression;
    loop {
        match expression {
            Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => return true,
            Expr::Filter(it) => return matches!(it.name, "split" | "items"),
            Expr::Slice(it) => expression = &it.expr,
            _ => return false,
        }
    }
}

/// What is still to be looked at.
#[derive(Default)]
struct Queue<'t, 's>(Vec<Node<'t, 's>>);

impl<'t, 's> Queue<'t, 's> {
    fn body(&mut self, body: &'t [Stmt<'s>]) {
        self.0.extend(body.iter().map(Node::Statement));
    }

    fn expressions(&mut self, expressions: impl IntoIterator<Item = &'t Expr<'s>>) {
        self.0.extend(expressions.into_iter().map(Node::Expression));
    }

    fn list(&mut self, expression: &'t Expr<'s>) {
        self.0.push(Node::List(expression));
    }

    fn arguments(&mut self, arguments: &'t [CallArg<'s>]) {
        self.expressions(arguments.iter().map(|argument| match argument {
            CallArg::Pos(it) | CallArg::Kwarg(_, it) | CallArg::PosSplat(it) | CallArg::KwargSplat(it) => it,
        }));
    }
}

impl<'s> Findings<'_, 's> {
    fn walk<'t>(&mut self, tree: &'t Stmt<'s>) {
        let mut queue = Queue::<'t, 's>(vec![Node::Statement(tree)]);
        while let Some(node) = queue.0.pop() {
            match node {
                Node::Statement(statement) => self.statement(statement, &mut queue),
                Node::Expression(expression) if is_list(expression) => {
                    self.problems.push((expression.span(), Problem::ListNotHere));
                }
                Node::Expression(expression) | Node::List(expression) => self.expression(expression, &mut queue),
            }
        }
    }

    /// What stands first in the source.
    fn first(mut self) -> Option<(Span, Problem)> {
        let unknown = std::mem::take(&mut self.used).into_iter();
        let unknown = unknown.filter(|(_, name)| !self.inputs.contains_key(name) && !self.assigned.contains(name));
        // One message, not one for each use: all the names stand in it.
        if let Some((span, name)) = unknown.min_by_key(|(span, _)| span.start_offset) {
            let inputs = self.inputs.keys().copied().collect::<Vec<_>>().join(", ");
            self.problems.push((span, Problem::UnknownVariable { name: name.to_owned(), inputs }));
        }
        for (span, name, field) in std::mem::take(&mut self.fields) {
            if !self.assigned.contains(name) {
                self.problems.push((span, Problem::FieldOfText { name: name.to_owned(), field }));
            }
        }
        for (span, name) in std::mem::take(&mut self.parts) {
            if self.assigned.contains(name) {
                self.problems.push((span, Problem::PartOfVariable { name: name.to_owned() }));
            }
        }
        self.problems.into_iter().min_by_key(|(span, _)| span.start_offset)
    }

    fn statement<'t>(&mut self, statement: &'t Stmt<'s>, queue: &mut Queue<'t, 's>) {
        match statement {
            Stmt::Template(it) => queue.body(&it.children),
            Stmt::EmitExpr(it) => queue.expressions([&it.expr]),
            Stmt::EmitRaw(_) => {}
            Stmt::ForLoop(it) => {
                if it.recursive {
                    self.refuse(it.span(), "recursive loop", "lists here have no lists in them");
                }
                self.assigned.insert("loop");
                self.assign(&it.target);
                queue.list(&it.iter);
                queue.expressions(&it.filter_expr);
                queue.body(&it.body);
                queue.body(&it.else_body);
            }
            Stmt::IfCond(it) => {
                queue.expressions([&it.expr]);
                queue.body(&it.true_body);
                queue.body(&it.false_body);
            }
            Stmt::WithBlock(it) => {
                for (target, value) in &it.assignments {
                    self.assign(target);
                    queue.expressions([value]);
                }
                queue.body(&it.body);
            }
            Stmt::Set(it) => {
                self.assign(&it.target);
                queue.expressions([&it.expr]);
            }
            Stmt::SetBlock(it) => {
                self.assign(&it.target);
                queue.expressions(&it.filter);
                queue.body(&it.body);
            }
            Stmt::FilterBlock(it) => {
                queue.expressions([&it.filter]);
                queue.body(&it.body);
            }
            Stmt::AutoEscape(it) => {
                self.refuse(it.span(), "autoescape", "escape each value with a filter such as xml or json");
                queue.body(&it.body);
            }
            Stmt::Do(it) => self.problems.push((it.span(), Problem::Call)),
        }
    }

    fn refuse(&mut self, span: Span, name: &'static str, instead: &'static str) {
        self.problems.push((span, Problem::Statement { name, instead }));
    }

    fn assign(&mut self, target: &Expr<'s>) {
        match target {
            Expr::Var(it) => {
                self.assigned.insert(it.id);
            }
            Expr::List(it) => it.items.iter().for_each(|item| self.assign(item)),
            Expr::Tuple(it) => it.items.iter().for_each(|item| self.assign(item)),
            other => self.refuse(other.span(), "assignment to a field", "set a variable"),
        }
    }

    fn expression<'t>(&mut self, expression: &'t Expr<'s>, queue: &mut Queue<'t, 's>) {
        match expression {
            Expr::Var(it) => self.used.push((it.span(), it.id)),
            Expr::Const(_) => {}
            Expr::Slice(it) => {
                self.part(it.span(), &it.expr);
                queue.list(&it.expr);
                queue.expressions([&it.start, &it.stop, &it.step].into_iter().flatten());
            }
            Expr::UnaryOp(it) => queue.expressions([&it.expr]),
            Expr::BinOp(it) => {
                queue.expressions([&it.left]);
                if matches!(it.op, BinOpKind::In) { queue.list(&it.right) } else { queue.expressions([&it.right]) }
            }
            Expr::Compare(it) => {
                queue.expressions([&it.expr]);
                queue.expressions(it.ops.iter().map(|op| &op.expr));
            }
            Expr::IfExpr(it) => {
                queue.expressions([&it.test_expr, &it.true_expr]);
                queue.expressions(&it.false_expr);
            }
            Expr::Filter(it) => {
                match filters::filter(it.name) {
                    None => self.problems.push((it.span(), Problem::UnknownFilter { name: one_word(it.name) })),
                    Some(arity) => self.arguments(it.span(), arity, &it.args),
                }
                if let Some(operand) = &it.expr {
                    if OF_LISTS.contains(&it.name) { queue.list(operand) } else { queue.expressions([operand]) }
                }
                queue.arguments(&it.args);
            }
            Expr::Test(it) => {
                match filters::test(it.name) {
                    None => self.problems.push((it.span(), Problem::UnknownTest { name: one_word(it.name) })),
                    Some(arity) => self.arguments(it.span(), arity, &it.args),
                }
                queue.expressions([&it.expr]);
                queue.arguments(&it.args);
            }
            Expr::GetAttr(it) => {
                self.field(it.span(), &it.expr, it.name);
                queue.expressions([&it.expr]);
            }
            Expr::GetItem(it) => {
                match constant_key(&it.subscript_expr) {
                    Some(key) => self.field(it.span(), &it.expr, key),
                    None => self.part(it.span(), &it.expr),
                }
                queue.list(&it.expr);
                queue.expressions([&it.subscript_expr]);
            }
            Expr::Call(it) => {
                self.problems.push((it.span(), Problem::Call));
                queue.arguments(&it.args);
            }
            Expr::List(it) => queue.expressions(&it.items),
            Expr::Tuple(it) => queue.expressions(&it.items),
            Expr::Map(it) => queue.expressions(it.keys.iter().chain(&it.values)),
        }
    }

    /// Whether what a part is taken of is an input or was made there. The engine counts characters to find a part, and asks no
    /// fuel for it: in a loop over a text that the template has made very long, that would be seconds.
    fn part(&mut self, span: Span, of: &Expr<'s>) {
        match of {
            Expr::Var(variable) => self.parts.push((span, variable.id)),
            Expr::GetItem(it) if matches!(it.expr, Expr::Var(_)) && constant_key(&it.subscript_expr).is_some() => {}
            Expr::GetAttr(_) | Expr::Filter(_) | Expr::Const(_) | Expr::Slice(_) => {}
            other if is_list(other) => {}
            _ => self.problems.push((span, Problem::PartOfOther)),
        }
    }

    /// Whether `field` is looked up in an input that is one field already.
    fn field(&mut self, span: Span, of: &Expr<'s>, field: &str) {
        if let Expr::Var(variable) = of
            && self.inputs.get(variable.id).is_some_and(|input| input.field.is_some())
        {
            self.fields.push((span, variable.id, field.to_owned()));
        }
    }

    fn arguments(&mut self, span: Span, arity: &Arity, arguments: &[CallArg<'_>]) {
        let mut positional = 0;
        let all_known = arguments.iter().all(|argument| match argument {
            CallArg::Pos(_) => {
                positional += 1;
                true
            }
            CallArg::Kwarg(name, _) => arity.named.contains(name),
            CallArg::PosSplat(_) | CallArg::KwargSplat(_) => false,
        });
        if !all_known || !arity.positional.contains(&positional) {
            self.problems.push((span, Problem::Arguments { usage: arity.usage }));
        }
    }
}

/// The name in `secret["name"]`.
fn constant_key<'e>(subscript: &'e Expr<'_>) -> Option<&'e str> {
    if let Expr::Const(key) = subscript { key.value.as_str() } else { None }
}

/// A name with dots may have spaces around them.
fn one_word(name: &str) -> String {
    name.split_whitespace().collect()
}
