//! Makes a tree of nodes from tokens.

use std::collections::HashMap;
use std::rc::Rc;

use super::resolve::{Typed, typed};
use super::scan::{Mark, Scanner, Token};
use super::{Data, Inner, Key, MAX_DEPTH, Node, Position, Scalar, YamlError};

type Result<T> = std::result::Result<T, YamlError>;

/// Tokens that end an empty value.
const ENDS_ITEM: &[Token] = &[Token::Item, Token::BlockEnd];
const ENDS_LOOSE_ITEM: &[Token] = &[Token::Item, Token::Key, Token::Value, Token::BlockEnd];
const ENDS_BLOCK: &[Token] = &[Token::Key, Token::Value, Token::BlockEnd];

/// Reads one document.
pub(super) struct Parser<'a> {
    scanner: Scanner<'a>,
    max_nodes: usize,
    /// The number of nodes made so far.
    made: usize,
    /// Anchors by name: the number of the anchor, and its node once that is complete.
    anchors: HashMap<String, (usize, Option<Node>)>,
    anchored: usize,
    /// Handles of tags, and their prefixes.
    tags: Vec<(String, String)>,
    depth: usize,
    /// The positions of brackets that are still open.
    brackets: Vec<Mark>,
}

/// The position of a node, and its properties before the content.
struct Head {
    at: Position,
    anchor: Option<(String, usize)>,
    tag: Option<String>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, max_nodes: usize) -> Self {
        let scanner = Scanner::new(text);
        let (anchors, tags) = Default::default();
        Self {
            scanner,
            max_nodes,
            made: 0,
            anchors,
            anchored: 0,
            tags,
            depth: 0,
            brackets: Vec::new(),
        }
    }

    /// The first document; `None` if there is none.
    pub(super) fn document(&mut self) -> Result<Option<Node>> {
        let has_directives = self.directives()?;
        let (token, mark) = self.scanner.peek()?;
        let mark = *mark;
        match token {
            Token::StreamEnd if !has_directives => return Ok(None),
            Token::DocumentStart => drop(self.scanner.take()?),
            _ if has_directives => {
                return Err(error(mark, "did not find expected <document start>"));
            }
            Token::DocumentEnd => return Err(error(mark, "did not find expected node content")),
            _ => {}
        }
        let (token, mark) = self.scanner.peek()?;
        let root = match token {
            Token::Version(..)
            | Token::TagDirective { .. }
            | Token::DocumentStart
            | Token::DocumentEnd
            | Token::StreamEnd => empty(*mark),
            _ => self.node(true, false)?,
        };
        // What follows must be a token at least.
        self.scanner.peek()?;
        Ok(Some(root))
    }

    /// Where more stands behind the first document; `None` if nothing does. What cannot be read is
    /// more, too.
    pub(super) fn remainder(&mut self) -> Option<Position> {
        loop {
            match self.scanner.peek() {
                Ok((Token::DocumentStart | Token::DocumentEnd, _)) => {}
                Ok((Token::StreamEnd, _)) => return None,
                Ok((_, mark)) => return Some((*mark).into()),
                Err(error) => return error.at,
            }
            if let Err(error) = self.scanner.take() {
                return error.at;
            }
        }
    }

    fn directives(&mut self) -> Result<bool> {
        let mut version = false;
        loop {
            let (token, mark) = self.scanner.peek()?;
            let mark = *mark;
            match token {
                Token::Version(..) if version => {
                    return Err(error(mark, "found duplicate %YAML directive"));
                }
                Token::Version(1, 1) => version = true,
                Token::Version(..) => {
                    let text = "found incompatible YAML document: write %YAML 1.1, or remove it";
                    return Err(error(mark, text));
                }
                Token::TagDirective { handle, prefix } => {
                    if self.tags.iter().any(|(other, _)| other == handle) {
                        return Err(error(mark, "found duplicate %TAG directive"));
                    }
                    let tag = (handle.clone(), prefix.clone());
                    self.tags.push(tag);
                }
                _ => break,
            }
            self.scanner.take()?;
        }
        let found = version || !self.tags.is_empty();
        for (handle, prefix) in [("!", "!"), ("!!", "tag:yaml.org,2002:")] {
            // The first one that has a handle counts.
            self.tags.push((handle.to_owned(), prefix.to_owned()));
        }
        Ok(found)
    }

    fn next_is(&mut self, tokens: &[Token]) -> Result<bool> {
        Ok(tokens.contains(&self.scanner.peek()?.0))
    }

    /// Takes the next token if it is this one.
    fn take_if(&mut self, token: &Token) -> Result<Option<Mark>> {
        if self.scanner.peek()?.0 == *token {
            return Ok(Some(self.scanner.take()?.1));
        }
        Ok(None)
    }

    fn wrong<T>(&mut self, message: &str) -> Result<T> {
        let (token, mark) = self.scanner.peek()?;
        match self.brackets.last() {
            Some(open) if *token == Token::StreamEnd => {
                Err(error(*open, &format!("{message}: the bracket is not closed")))
            }
            _ => Err(error(*mark, message)),
        }
    }

    /// A node. If the next token ends an empty value, the node is empty and stands at `mark`.
    fn node_unless(
        &mut self,
        ends: &[Token],
        mark: Mark,
        block: bool,
        loose: bool,
    ) -> Result<Node> {
        if !self.next_is(ends)? {
            return self.node(block, loose);
        }
        self.count(mark)?;
        Ok(empty(mark))
    }

    /// Counts one more node.
    fn count(&mut self, mark: Mark) -> Result<()> {
        self.made += 1;
        if self.made > self.max_nodes { Err(self.too_large(mark.into())) } else { Ok(()) }
    }

    /// A node. With `block` it may be a block collection, and with `loose` a list without
    /// indentation.
    fn node(&mut self, block: bool, loose: bool) -> Result<Node> {
        let mark = self.scanner.peek()?.1;
        if let Token::Alias(_) = self.scanner.peek()?.0 {
            return self.alias();
        }
        self.count(mark)?;
        let head = self.head(mark.into())?;
        match &self.scanner.peek()?.0 {
            Token::Scalar { .. } => {
                let (Token::Scalar { text, plain }, _) = self.scanner.take()? else {
                    unreachable!("it was seen")
                };
                self.scalar(head, text, plain)
            }
            Token::FlowSequence => self.nested(head, Self::flow_sequence),
            Token::FlowMapping => self.nested(head, Self::flow_mapping),
            Token::BlockSequence if block => self.nested(head, Self::block_sequence),
            Token::BlockMapping if block => self.nested(head, Self::block_mapping),
            Token::Item if loose => self.nested(head, Self::loose_sequence),
            _ if head.anchor.is_some() || head.tag.is_some() => {
                let plain = head.tag.is_none();
                self.scalar(head, String::new(), plain)
            }
            _ => self.wrong("did not find expected node content"),
        }
    }

    fn alias(&mut self) -> Result<Node> {
        let (Token::Alias(name), mark) = self.scanner.take()? else { unreachable!("it was seen") };
        match self.anchors.get(&name) {
            Some((_, Some(node))) => {
                if self.depth + node.inner.depth > MAX_DEPTH {
                    return Err(too_deep(mark));
                }
                Ok(Node { at: mark.into(), inner: Rc::clone(&node.inner) })
            }
            Some((_, None)) => Err(error(mark, &format!("anchor '{name}' value contains itself"))),
            None => Err(error(mark, &format!("unknown anchor '{name}' referenced"))),
        }
    }

    fn head(&mut self, at: Position) -> Result<Head> {
        let (mut anchor, mut tag) = (None, None);
        loop {
            match &self.scanner.peek()?.0 {
                Token::Anchor(_) if anchor.is_none() => {
                    if let (Token::Anchor(name), _) = self.scanner.take()? {
                        self.anchored += 1;
                        self.anchors.insert(name.clone(), (self.anchored, None));
                        anchor = Some((name, self.anchored));
                    }
                }
                Token::Tag { .. } if tag.is_none() => {
                    if let (Token::Tag { handle, suffix }, mark) = self.scanner.take()? {
                        tag = Some(self.tag(&handle, suffix, mark)?);
                    }
                }
                _ => return Ok(Head { at, anchor, tag }),
            }
        }
    }

    fn tag(&self, handle: &str, suffix: String, mark: Mark) -> Result<String> {
        if handle.is_empty() {
            return Ok(suffix);
        }
        match self.tags.iter().find(|(known, _)| known == handle) {
            Some((_, prefix)) => Ok(format!("{prefix}{suffix}")),
            None => Err(error(mark, "found undefined tag handle")),
        }
    }

    fn scalar(&mut self, head: Head, text: String, plain: bool) -> Result<Node> {
        let Typed { text, plain, merge } = match &head.tag {
            None => Typed { merge: plain && text == "<<", text, plain },
            Some(tag) => typed(tag, text).map_err(|message| YamlError::new(head.at, &message))?,
        };
        Ok(self.complete(head, Data::Scalar(Scalar { text, plain, merge }), 1, 0))
    }

    /// A collection, one level further down.
    fn nested(&mut self, head: Head, read: fn(&mut Self) -> Result<Data>) -> Result<Node> {
        if self.depth >= MAX_DEPTH {
            return Err(too_deep(self.scanner.peek()?.1));
        }
        self.depth += 1;
        let mut data = read(self)?;
        self.depth -= 1;
        // A list that grows has room for four elements from the first on, and most are never full.
        match &mut data {
            Data::Scalar(_) => {}
            Data::Sequence(items) => items.shrink_to_fit(),
            Data::Mapping(entries) => entries.shrink_to_fit(),
        }
        let (mut weight, mut depth) = (1, 0);
        let mut add = |node: &Node| {
            weight += node.inner.weight;
            depth = depth.max(node.inner.depth);
        };
        match &data {
            Data::Scalar(_) => {}
            Data::Sequence(items) => items.iter().for_each(add),
            Data::Mapping(entries) => entries.iter().for_each(|(_, value)| add(value)),
        }
        if let Data::Mapping(entries) = &data {
            weight += entries.len();
        }
        if weight > self.max_nodes {
            return Err(self.too_large(head.at));
        }
        Ok(self.complete(head, data, weight, depth + 1))
    }

    fn too_large(&self, at: Position) -> YamlError {
        let text = format!("more than {} values, with aliases written out", self.max_nodes);
        YamlError::new(at, &text)
    }

    fn complete(&mut self, head: Head, data: Data, weight: usize, depth: usize) -> Node {
        let node = Node { at: head.at, inner: Rc::new(Inner { data, weight, depth }) };
        if let Some((name, number)) = head.anchor
            && let Some((latest, place)) = self.anchors.get_mut(&name)
            && *latest == number
        {
            *place = Some(node.clone());
        }
        node
    }

    fn block_sequence(&mut self) -> Result<Data> {
        self.scanner.take()?;
        let mut items = Vec::new();
        while let Some(mark) = self.take_if(&Token::Item)? {
            items.push(self.node_unless(ENDS_ITEM, mark, true, false)?);
        }
        if self.take_if(&Token::BlockEnd)?.is_none() {
            return self.wrong("did not find expected '-' indicator");
        }
        Ok(Data::Sequence(items))
    }

    /// A list with the same indentation as its key.
    fn loose_sequence(&mut self) -> Result<Data> {
        let mut items = Vec::new();
        while let Some(mark) = self.take_if(&Token::Item)? {
            items.push(self.node_unless(ENDS_LOOSE_ITEM, mark, true, false)?);
        }
        Ok(Data::Sequence(items))
    }

    fn block_mapping(&mut self) -> Result<Data> {
        self.scanner.take()?;
        let mut entries = Vec::new();
        while let Some(mark) = self.take_if(&Token::Key)? {
            let key = self.node_unless(ENDS_BLOCK, mark, true, true)?;
            let (is_alias, value) = self.value(ENDS_BLOCK, true)?;
            entries.push(entry(&key, value, is_alias)?);
        }
        if self.take_if(&Token::BlockEnd)?.is_none() {
            return self.wrong("did not find expected key");
        }
        Ok(Data::Mapping(entries))
    }

    /// The value of a key, and whether it is an alias.
    fn value(&mut self, ends: &[Token], block: bool) -> Result<(bool, Node)> {
        let Some(mark) = self.take_if(&Token::Value)? else {
            return Ok((false, empty(self.scanner.peek()?.1)));
        };
        let is_alias = matches!(self.scanner.peek()?.0, Token::Alias(_));
        Ok((is_alias, self.node_unless(ends, mark, block, block)?))
    }

    /// Whether one more item follows in brackets that `end` closes.
    fn more(&mut self, end: &Token, first: bool, wrong: &str) -> Result<bool> {
        if self.take_if(end)?.is_some() {
            return Ok(false);
        }
        if !first && self.take_if(&Token::Comma)?.is_none() {
            return self.wrong(wrong);
        }
        Ok(self.take_if(end)?.is_none())
    }

    fn flow_sequence(&mut self) -> Result<Data> {
        let mark = self.scanner.take()?.1;
        self.brackets.push(mark);
        let mut items = Vec::new();
        let (end, wrong) = (Token::FlowSequenceEnd, "did not find expected ',' or ']'");
        while self.more(&end, items.is_empty(), wrong)? {
            let mark = self.scanner.peek()?.1;
            if self.take_if(&Token::Key)?.is_some() {
                let head = Head { at: mark.into(), anchor: None, tag: None };
                items.push(self.nested(head, Self::single_pair)?);
            } else {
                items.push(self.node(false, false)?);
            }
        }
        self.brackets.pop();
        Ok(Data::Sequence(items))
    }

    /// A mapping of one key that stands in a list without brackets of its own.
    fn single_pair(&mut self) -> Result<Data> {
        let ends = &[Token::Value, Token::Comma, Token::FlowSequenceEnd];
        let key = if self.next_is(ends)? {
            // As in Go, which takes the colon for the key.
            empty(self.scanner.take()?.1)
        } else {
            self.node(false, false)?
        };
        let (is_alias, value) = self.value(&ends[1..], false)?;
        Ok(Data::Mapping(vec![entry(&key, value, is_alias)?]))
    }

    fn flow_mapping(&mut self) -> Result<Data> {
        let mark = self.scanner.take()?.1;
        self.brackets.push(mark);
        let ends = &[Token::Value, Token::Comma, Token::FlowMappingEnd];
        let mut entries = Vec::new();
        let (end, wrong) = (Token::FlowMappingEnd, "did not find expected ',' or '}'");
        while self.more(&end, entries.is_empty(), wrong)? {
            if let Some(mark) = self.take_if(&Token::Key)? {
                let key = self.node_unless(ends, mark, false, false)?;
                let (is_alias, value) = self.value(&ends[1..], false)?;
                entries.push(entry(&key, value, is_alias)?);
            } else {
                let key = self.node(false, false)?;
                entries.push(entry(&key, empty(self.scanner.peek()?.1), false)?);
            }
        }
        self.brackets.pop();
        Ok(Data::Mapping(entries))
    }
}

fn entry(key: &Node, value: Node, is_alias: bool) -> Result<(Key, Node)> {
    let Data::Scalar(scalar) = key.data() else {
        return Err(YamlError::new(key.at, "a key must be a single value"));
    };
    if scalar.merge {
        let maps = match value.data() {
            // Go refuses an alias to a list here.
            Data::Sequence(items) if !is_alias => items,
            _ => std::slice::from_ref(&value),
        };
        if let Some(other) = maps.iter().find(|map| !matches!(map.data(), Data::Mapping(_))) {
            let text = "map merge requires map or sequence of maps as the value";
            return Err(YamlError::new(other.at, text));
        }
    }
    let null = key.is_null();
    let text = if null { "" } else { &scalar.text };
    Ok((Key { at: key.at, text: text.into(), null, merge: scalar.merge }, value))
}

/// An empty value.
fn empty(mark: Mark) -> Node {
    let data = Data::Scalar(Scalar { text: String::new(), plain: true, merge: false });
    Node { at: mark.into(), inner: Rc::new(Inner { data, weight: 1, depth: 0 }) }
}

fn error(mark: Mark, message: &str) -> YamlError {
    YamlError::new(mark.into(), message)
}

fn too_deep(mark: Mark) -> YamlError {
    error(mark, &format!("nested more than {MAX_DEPTH} levels deep"))
}
