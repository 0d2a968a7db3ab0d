//! Puts every change of a file behind a switch.

use std::collections::{HashMap, HashSet};

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{
    Arm, BinOp, Block, Expr, ExprIf, ExprLit, ExprMatch, Lit, ReturnType, Signature, Stmt, Type,
    parse_quote, parse_str,
};

use crate::change::{Change, Genre, Place};

/// What is not to be switched, since it did not compile.
#[derive(Default)]
pub struct Not {
    /// Changes that do not compile.
    pub changes: HashSet<u32>,
    /// Names of `const` functions that are called at compile time: they stay as they are.
    pub compile_time: HashSet<String>,
}

/// What changes make of the constants, by name and by the file that defines it. A constant itself cannot be switched: where
/// it is used at run time, the changed expression stands beside it.
#[derive(Default)]
pub struct Constants(HashMap<String, HashMap<String, Vec<(u32, Expr)>>>);

impl Constants {
    /// Adds the constants of a file that have changes.
    pub fn add(&mut self, file: &str, source: &str, changes: &[&Change]) {
        let items = syn::parse_file(source).expect("the crate's files are Rust").items;
        for item in &items {
            let syn::Item::Const(item) = item else { continue };
            for change in changes.iter().filter(|change| change.genre == Genre::BinaryOperator) {
                let mut expr = (*item.expr).clone();
                let mut changer = Changer { change, is_found: false };
                changer.visit_expr_mut(&mut expr);
                if changer.is_found {
                    let by_file = self.0.entry(item.ident.to_string()).or_default();
                    by_file.entry(file.to_owned()).or_default().push((change.id, expr));
                }
            }
        }
    }

    /// The changes of the constant that has this name in `file`: one of its own, or the only one of the crate.
    fn get(&self, file: &str, name: &str) -> &[(u32, Expr)] {
        let Some(by_file) = self.0.get(name) else { return &[] };
        match (by_file.get(file), by_file.len()) {
            (Some(own), _) => own,
            (None, 1) => by_file.values().next().expect("there is one"),
            (None, _) => &[],
        }
    }
}

/// Changes the operator at the place of a change.
struct Changer<'a> {
    change: &'a Change,
    is_found: bool,
}

impl VisitMut for Changer<'_> {
    fn visit_bin_op_mut(&mut self, op: &mut BinOp) {
        if place(op.span()) == self.change.place {
            *op = parse_str(&self.change.replacement).expect("an operator");
            self.is_found = true;
        }
    }
}

/// Returns the text of a file of this name with `changes` behind switches, and the numbers of those that are in it.
pub fn rewrite(
    name: &str,
    source: &str,
    changes: &[&Change],
    constants: &Constants,
    not: &Not,
) -> (String, Vec<u32>) {
    let mut file = syn::parse_file(source).expect("the crate's files are Rust");
    let mut open: HashMap<_, Vec<&Change>> = HashMap::new();
    for change in changes.iter().filter(|change| !not.changes.contains(&change.id)) {
        open.entry((change.genre, change.place)).or_default().push(change);
    }
    let mut rewriter = Rewriter { name, open, constants, not, put: Vec::new() };
    rewriter.visit_file_mut(&mut file);
    (prettyplease::unparse(&file), rewriter.put)
}

struct Rewriter<'a> {
    /// Of the file.
    name: &'a str,
    /// The changes whose place was not found yet.
    open: HashMap<(Genre, Place), Vec<&'a Change>>,
    constants: &'a Constants,
    not: &'a Not,
    put: Vec<u32>,
}

fn place(span: Span) -> Place {
    (span.start().line, span.start().column + 1)
}

impl<'a> Rewriter<'a> {
    fn take(&mut self, genre: Genre, span: Span) -> Vec<&'a Change> {
        let changes = self.open.remove(&(genre, place(span))).unwrap_or_default();
        self.put.extend(changes.iter().map(|change| change.id));
        changes
    }

    /// `usual`, or what a change makes of it.
    fn switch(usual: Expr, changes: &[&Change], changed: impl Fn(&Change) -> Expr) -> Expr {
        changes.iter().fold(usual, |usual, change| {
            let (id, changed) = (change.id, changed(change));
            // In parentheses, since a block does not begin with an `if` that is only its left operand.
            parse_quote!((if crate::mutant(#id) { (#changed) } else { (#usual) }))
        })
    }

    fn function(&mut self, whole: Span, signature: &mut Signature, block: &mut Block) {
        signature.constness = None;
        let changes = self.take(Genre::FnValue, whole);
        let is_opaque = match &signature.output {
            ReturnType::Type(_, output) => matches!(**output, Type::ImplTrait(_)),
            ReturnType::Default => false,
        };
        if !is_opaque {
            for change in changes.iter().rev() {
                let (id, value) = (change.id, expression(&change.replacement));
                block.stmts.insert(0, parse_quote!(if crate::mutant(#id) { return #value; }));
            }
            return;
        }
        // All that is returned must have one type.
        for change in changes {
            let (id, value) = (change.id, expression(&change.replacement));
            *block = parse_quote!({
                if crate::mutant(#id) { crate::mutant_switch::Either::Changed(#value) }
                else { crate::mutant_switch::Either::Usual(#block) }
            });
        }
    }

    fn is_left(&self, signature: &Signature) -> bool {
        signature.constness.is_some()
            && self.not.compile_time.contains(&signature.ident.to_string())
    }
}

fn expression(text: &str) -> Expr {
    parse_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

impl VisitMut for Rewriter<'_> {
    fn visit_item_fn_mut(&mut self, item: &mut syn::ItemFn) {
        if !self.is_left(&item.sig) {
            let whole = item.span();
            visit_mut::visit_item_fn_mut(self, item);
            self.function(whole, &mut item.sig, &mut item.block);
        }
    }

    fn visit_impl_item_fn_mut(&mut self, item: &mut syn::ImplItemFn) {
        if !self.is_left(&item.sig) {
            let whole = item.span();
            visit_mut::visit_impl_item_fn_mut(self, item);
            self.function(whole, &mut item.sig, &mut item.block);
        }
    }

    fn visit_trait_item_fn_mut(&mut self, item: &mut syn::TraitItemFn) {
        let whole = item.span();
        visit_mut::visit_trait_item_fn_mut(self, item);
        if let Some(block) = &mut item.default {
            self.function(whole, &mut item.sig, block);
        }
    }

    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        match expr {
            Expr::Binary(binary) => {
                let changes = self.take(Genre::BinaryOperator, binary.op.span());
                let original = binary.clone();
                visit_mut::visit_expr_mut(self, expr);
                *expr = Self::switch(expr.clone(), &changes, |change| {
                    let op: BinOp = parse_str(&change.replacement).expect("an operator");
                    let (left, right) = (&original.left, &original.right);
                    parse_quote!((#left) #op (#right))
                });
            }
            Expr::Unary(unary) => {
                let changes = self.take(Genre::UnaryOperator, unary.op.span());
                let original = unary.expr.clone();
                visit_mut::visit_expr_mut(self, expr);
                *expr = Self::switch(expr.clone(), &changes, |_| *original.clone());
            }
            Expr::Struct(made) => {
                for field in &mut made.fields {
                    let changes = self.take(Genre::StructField, field.span());
                    self.visit_expr_mut(&mut field.expr);
                    if let (Some(rest), false) = (&made.rest, changes.is_empty()) {
                        let (member, value) = (&field.member, field.expr.clone());
                        field.expr =
                            Self::switch(value, &changes, |_| parse_quote!((#rest).#member));
                        // `field` alone stood for `field: field`.
                        field.colon_token = Some(Default::default());
                    }
                }
                if let Some(rest) = &mut made.rest {
                    self.visit_expr_mut(rest);
                }
            }
            Expr::Path(path) => {
                let name = path.path.segments.last().expect("it is not empty").ident.to_string();
                for (id, changed) in self.constants.get(self.name, &name) {
                    if !self.not.changes.contains(id) {
                        self.put.push(*id);
                        *expr = parse_quote!((if crate::mutant(#id) { #changed } else { #expr }));
                    }
                }
            }
            // The length is known at compile time.
            Expr::Repeat(repeat) => self.visit_expr_mut(&mut repeat.expr),
            Expr::Const(_) => {}
            _ => visit_mut::visit_expr_mut(self, expr),
        }
    }

    fn visit_arm_mut(&mut self, arm: &mut Arm) {
        let deleted = self.take(Genre::MatchArm, arm.span());
        let replaced = match &arm.guard {
            Some((_, guard)) => self.take(Genre::MatchArmGuard, guard.span()),
            None => Vec::new(),
        };
        visit_mut::visit_arm_mut(self, arm);
        if let Some((_, guard)) = &mut arm.guard {
            let usual = (**guard).clone();
            **guard = Self::switch(usual, &replaced, |change| expression(&change.replacement));
        }
        for change in deleted {
            let id = change.id;
            let guard: Expr = match &arm.guard {
                Some((_, guard)) => parse_quote!(!crate::mutant(#id) && (#guard)),
                None => parse_quote!(!crate::mutant(#id)),
            };
            arm.guard = Some((Default::default(), Box::new(guard)));
        }
    }

    // What is known at compile time cannot be switched.
    fn visit_item_const_mut(&mut self, _: &mut syn::ItemConst) {}
    fn visit_impl_item_const_mut(&mut self, _: &mut syn::ImplItemConst) {}
    fn visit_trait_item_const_mut(&mut self, _: &mut syn::TraitItemConst) {}
    fn visit_item_static_mut(&mut self, _: &mut syn::ItemStatic) {}
    fn visit_type_mut(&mut self, _: &mut syn::Type) {}
    fn visit_variant_mut(&mut self, _: &mut syn::Variant) {}
    fn visit_generic_argument_mut(&mut self, _: &mut syn::GenericArgument) {}
}

/// Where in a rewritten file the code of which change is.
#[derive(Default)]
pub struct Map {
    switches: Vec<Switch>,
    /// What is matched on, and the arms that can be left out and had no guard.
    matches: Vec<(Place, Vec<u32>)>,
    /// Return types that are `impl Trait`, and the first change of the value.
    opaque: Vec<(Place, u32)>,
}

struct Switch {
    id: u32,
    /// The changed code.
    changed: (Place, Place),
    /// The changed code and the usual one.
    whole: (Place, Place),
}

impl Map {
    pub fn of(text: &str) -> Map {
        let mut map = Map::default();
        map.visit_file(&syn::parse_file(text).expect("what was written can be read"));
        map
    }

    /// The change whose code is at a place.
    pub fn changed(&self, place: Place) -> Option<u32> {
        self.innermost(place, |switch| switch.changed)
    }

    /// The change beside whose code a place is.
    pub fn beside(&self, place: Place) -> Option<u32> {
        self.innermost(place, |switch| switch.whole)
    }

    /// The arms without which the match on what is at a place is not exhaustive.
    pub fn arms(&self, place: Place) -> &[u32] {
        let found = self.matches.iter().find(|(scrutinee, _)| *scrutinee == place);
        found.map_or(&[], |(_, arms)| arms)
    }

    /// A change of the value of the function whose return type is at a place.
    pub fn value(&self, place: Place) -> Option<u32> {
        self.opaque.iter().find(|(output, _)| *output == place).map(|(_, id)| *id)
    }

    fn innermost(&self, place: Place, range: impl Fn(&Switch) -> (Place, Place)) -> Option<u32> {
        self.switches
            .iter()
            .filter(|switch| range(switch).0 <= place && place < range(switch).1)
            .max_by_key(|switch| range(switch).0)
            .map(|switch| switch.id)
    }

    fn function(&mut self, signature: &Signature, block: &Block) {
        let ReturnType::Type(_, output) = &signature.output else { return };
        if let Some(Stmt::Expr(Expr::If(first), _)) = block.stmts.first()
            && let Some(id) = asked(&first.cond)
        {
            self.opaque.push((place(output.span()), id));
        }
    }

    fn add(&mut self, id: u32, changed: Span, whole: Span) {
        let both = |span: Span| (place(span), (span.end().line, span.end().column + 1));
        self.switches.push(Switch { id, changed: both(changed), whole: both(whole) });
    }
}

impl<'ast> Visit<'ast> for Map {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_expr_if(&mut self, expr: &'ast ExprIf) {
        if let Some(id) = asked(&expr.cond) {
            self.add(id, expr.then_branch.span(), expr.span());
        }
        visit::visit_expr_if(self, expr);
    }

    fn visit_expr_match(&mut self, expr: &'ast ExprMatch) {
        let arms = expr.arms.iter().filter_map(|arm| match &*arm.guard.as_ref()?.1 {
            Expr::Unary(not) => asked(&not.expr),
            _ => None,
        });
        self.matches.push((place(expr.expr.span()), arms.collect()));
        visit::visit_expr_match(self, expr);
    }
}

/// The change that `crate::mutant(id)` asks for.
fn asked(condition: &Expr) -> Option<u32> {
    let Expr::Call(call) = condition else { return None };
    let Expr::Path(function) = &*call.func else { return None };
    let Some(Expr::Lit(ExprLit { lit: Lit::Int(id), .. })) = call.args.first() else { return None };
    let is_switch = function.path.segments.last()?.ident == "mutant";
    is_switch.then(|| id.base10_parse().expect("a number"))
}
