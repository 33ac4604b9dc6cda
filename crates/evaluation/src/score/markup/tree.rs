//! What `is-html` needs to know of a parsed HTML document: its elements, and where there is text.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use html5ever::interface::tree_builder::{
    AppendNode, AppendText, ElemName, ElementFlags, NodeOrText, QuirksMode, TreeSink,
};
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts};
use html5ever::{Attribute, LocalName, Namespace, QualName, TokenizerResult};

use super::super::javascript::is_space;

/// Elements that a parser adds where they are missing.
pub(super) const WRAPPERS: &[&str] = &["html", "head", "body"];
/// Most nodes of a document; a few bytes may make many of them.
const NODES_MAX: usize = 500_000;
/// Deepest nesting: each tag searches among the elements that are open.
const LEVELS_MAX: usize = 2_000;
/// The place of the document.
const DOCUMENT: usize = 0;

/// A parsed document.
pub(super) struct Tree {
    nodes: Vec<Node>,
    given: BTreeSet<String>,
}

#[derive(Default)]
struct Node {
    name: Option<Rc<QualName>>,
    parent: Option<usize>,
    children: Vec<usize>,
    level: usize,
    /// The content of a template.
    contents: Option<usize>,
    /// Whether it is text that is not blank.
    is_text: bool,
}

impl Tree {
    /// Parses a text; `None` if its tree is too large or too deep.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let sink = Sink { nodes: RefCell::new(vec![Node::default()]), ..Sink::default() };
        let builder = TreeBuilder::new(sink, TreeBuilderOpts::default());
        let watch = Watch { builder, given: RefCell::default(), is_over: Cell::new(false) };
        let tokenizer = Tokenizer::new(watch, TokenizerOpts::default());
        let queue = BufferQueue::default();
        queue.push_back(StrTendril::from(text));
        while !matches!(tokenizer.feed(&queue), TokenizerResult::Done) {}
        tokenizer.end();
        let Watch { builder, given, is_over } = tokenizer.sink;
        let nodes = builder.sink.nodes.into_inner();
        (!is_over.get()).then(|| Self { nodes, given: given.into_inner() })
    }

    /// Whether the start tag of `html`, `head` or `body` made the element.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.given.contains(name)
    }

    /// Nodes from the document on, without the contents of templates.
    fn reachable(&self) -> impl Iterator<Item = &Node> {
        let mut left = vec![DOCUMENT];
        std::iter::from_fn(move || {
            let node = self.nodes.get(left.pop()?)?;
            left.extend(node.children.iter().rev());
            Some(node)
        })
    }

    /// The names of all elements.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.reachable().filter_map(|node| node.name.as_ref().map(|name| &*name.local))
    }

    /// Whether the body has text that is in no other element.
    pub(super) fn has_text_in_body(&self) -> bool {
        let is_body = |node: &&Node| node.name.as_ref().is_some_and(|name| &*name.local == "body");
        let body = self.reachable().find(is_body);
        let is_text = |child: &usize| self.nodes.get(*child).is_some_and(|child| child.is_text);
        body.is_some_and(|body| body.children.iter().any(is_text))
    }
}

/// Passes tokens on, and notes which wrappers are written.
struct Watch {
    builder: TreeBuilder<usize, Sink>,
    given: RefCell<BTreeSet<String>>,
    is_over: Cell<bool>,
}

impl TokenSink for Watch {
    type Handle = usize;

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<usize> {
        let sink = &self.builder.sink;
        if self.is_over.get() || sink.nodes.borrow().len() > NODES_MAX || sink.deepest.get() > LEVELS_MAX {
            self.is_over.set(true);
            return TokenSinkResult::Continue;
        }
        let wrapper = match &token {
            Token::TagToken(Tag { kind: TagKind::StartTag, name, .. }) => {
                WRAPPERS.iter().find(|wrapper| **wrapper == &**name && !sink.has(wrapper))
            }
            _ => None,
        };
        let result = self.builder.process_token(token, line);
        if let Some(wrapper) = wrapper.filter(|wrapper| sink.has(wrapper)) {
            self.given.borrow_mut().insert((*wrapper).to_owned());
        }
        result
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

/// Builds the tree.
#[derive(Default)]
struct Sink {
    nodes: RefCell<Vec<Node>>,
    deepest: Cell<usize>,
    wrappers: RefCell<BTreeSet<&'static str>>,
}

/// The name of an element.
#[derive(Debug)]
struct Name(Rc<QualName>);

impl ElemName for Name {
    fn ns(&self) -> &Namespace {
        &self.0.ns
    }

    fn local_name(&self) -> &LocalName {
        &self.0.local
    }
}

impl Sink {
    fn has(&self, name: &str) -> bool {
        self.wrappers.borrow().contains(name)
    }

    fn add(&self, node: Node) -> usize {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(node);
        nodes.len() - 1
    }

    fn change<T>(&self, at: usize, change: impl FnOnce(&mut Node) -> T) -> Option<T> {
        self.nodes.borrow_mut().get_mut(at).map(change)
    }

    /// A text that is not blank, or a node.
    fn node_of(&self, child: NodeOrText<usize>) -> Option<usize> {
        match child {
            AppendNode(node) => {
                self.remove_from_parent(&node);
                Some(node)
            }
            AppendText(text) if text.chars().all(is_space) => None,
            AppendText(_) => Some(self.add(Node { is_text: true, ..Node::default() })),
        }
    }

    fn insert(&self, parent: usize, before: Option<usize>, child: usize) {
        let level = self.nodes.borrow().get(parent).map_or(0, |node| node.level).saturating_add(1);
        self.deepest.set(self.deepest.get().max(level));
        self.change(child, |node| (node.parent, node.level) = (Some(parent), level));
        self.change(parent, |node| {
            let at = before.and_then(|before| node.children.iter().rposition(|other| *other == before));
            node.children.insert(at.unwrap_or(node.children.len()), child);
        });
    }

    fn parent(&self, node: usize) -> Option<usize> {
        self.nodes.borrow().get(node).and_then(|node| node.parent)
    }
}

impl TreeSink for Sink {
    type Handle = usize;
    type Output = ();
    type ElemName<'a> = Name;

    fn finish(self) {}

    fn parse_error(&self, _message: Cow<'static, str>) {}

    fn get_document(&self) -> usize {
        DOCUMENT
    }

    fn elem_name<'a>(&'a self, target: &'a usize) -> Name {
        let name = self.nodes.borrow().get(*target).and_then(|node| node.name.clone());
        Name(name.unwrap_or_else(|| Rc::new(QualName::new(None, Namespace::default(), LocalName::default()))))
    }

    fn create_element(&self, name: QualName, _attributes: Vec<Attribute>, flags: ElementFlags) -> usize {
        self.wrappers.borrow_mut().extend(WRAPPERS.iter().find(|wrapper| **wrapper == &*name.local));
        let contents = flags.template.then(|| self.add(Node::default()));
        self.add(Node { name: Some(Rc::new(name)), contents, ..Node::default() })
    }

    fn create_comment(&self, _text: StrTendril) -> usize {
        self.add(Node::default())
    }

    fn create_pi(&self, _target: StrTendril, _data: StrTendril) -> usize {
        self.add(Node::default())
    }

    fn append(&self, parent: &usize, child: NodeOrText<usize>) {
        if let Some(child) = self.node_of(child) {
            self.insert(*parent, None, child);
        }
    }

    fn append_based_on_parent_node(&self, element: &usize, previous: &usize, child: NodeOrText<usize>) {
        if self.parent(*element).is_some() {
            self.append_before_sibling(element, child);
        } else {
            self.append(previous, child);
        }
    }

    fn append_doctype_to_document(&self, _name: StrTendril, _public: StrTendril, _system: StrTendril) {}

    fn get_template_contents(&self, target: &usize) -> usize {
        self.nodes.borrow().get(*target).and_then(|node| node.contents).unwrap_or(*target)
    }

    fn same_node(&self, one: &usize, other: &usize) -> bool {
        one == other
    }

    fn set_quirks_mode(&self, _mode: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &usize, child: NodeOrText<usize>) {
        if let Some((child, parent)) = self.node_of(child).zip(self.parent(*sibling)) {
            self.insert(parent, Some(*sibling), child);
        }
    }

    fn add_attrs_if_missing(&self, _target: &usize, _attributes: Vec<Attribute>) {}

    fn remove_from_parent(&self, target: &usize) {
        if let Some(Some(parent)) = self.change(*target, |node| node.parent.take()) {
            self.change(parent, |node| {
                if let Some(at) = node.children.iter().rposition(|child| child == target) {
                    node.children.remove(at);
                }
            });
        }
    }

    fn reparent_children(&self, node: &usize, parent: &usize) {
        let children = self.change(*node, |node| std::mem::take(&mut node.children)).unwrap_or_default();
        for child in children {
            self.insert(*parent, None, child);
        }
    }
}
