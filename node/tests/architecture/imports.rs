//! Finds import cycles between the files of one crate.
//!
//! A small reader of `use` trees and paths, not a compiler: it follows `crate::`, `super::`, `self::` and the names of
//! child modules to the file in which the item stands, through re-exports. Code under `#[cfg(test)]` does not count
//! (tests stand at the end of a file), and neither does a table of contents: a `mod.rs` or `lib.rs` that does nothing but
//! declare and re-export.

use std::collections::{BTreeMap, BTreeSet};

/// The path of a module inside its crate; the crate's root is the empty path.
type ModulePath = Vec<String>;

/// Which modules each module imports from.
type Edges = BTreeMap<ModulePath, BTreeSet<ModulePath>>;

/// The most re-exports that one name is followed through.
const REEXPORT_DEPTH_MAX: usize = 8;

/// A token of Rust source, as far as imports need one.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `::`
    Colons,
    Other(char),
}

/// One file, as far as imports need it.
#[derive(Debug, Default)]
struct File {
    /// Where the file is, for messages.
    name: String,
    /// The paths that it names, each with the segments as written.
    paths: Vec<Vec<String>>,
    /// What `use` brings into its scope: the visible name and the path; `*` for a glob.
    uses: Vec<(String, Vec<String>)>,
    /// The names of items that it defines.
    items: BTreeSet<String>,
    /// Whether it only declares modules and re-exports.
    contents_only: bool,
}

/// The files of one crate by module path.
#[derive(Debug, Default)]
pub struct Crate {
    files: BTreeMap<ModulePath, File>,
}

impl Crate {
    /// Adds one file. `name` is its path below `src`, with `/` between the parts.
    pub fn add(&mut self, name: &str, source: &str) {
        let Some(module) = module_path(name) else {
            return;
        };
        self.files.insert(module, read_file(name, source));
    }

    /// Cycles of files that import each other, each with its first file repeated at the end. Breaking each of them at its
    /// last import leaves none.
    pub fn cycles(&self) -> Vec<Vec<String>> {
        let mut edges: Edges = self.files.keys().map(|module| (module.clone(), self.imports(module))).collect();
        let mut found = Vec::new();
        while let Some(cycle) = first_cycle(&edges) {
            if let [.., from, to] = cycle.as_slice()
                && let Some(imports) = edges.get_mut(from)
            {
                imports.remove(to);
            }
            found.push(cycle.iter().map(|module| self.files[module].name.clone()).collect());
        }
        found
    }

    /// The modules that the file of `module` imports from.
    fn imports(&self, module: &ModulePath) -> BTreeSet<ModulePath> {
        let file = &self.files[module];
        if file.contents_only {
            return BTreeSet::new();
        }
        let mut found: BTreeSet<ModulePath> =
            file.paths.iter().filter_map(|path| self.resolve(module, path, 0)).collect();
        found.remove(module);
        found
    }

    /// The module whose file holds what `path` names when it is written in `from`.
    fn resolve(&self, from: &ModulePath, path: &[String], depth: usize) -> Option<ModulePath> {
        let (mut at, rest) = self.absolute(from, path)?;
        for (index, segment) in rest.iter().enumerate() {
            let child = joined(&at, segment);
            if self.files.contains_key(&child) {
                at = child;
                continue;
            }
            return Some(self.through_reexport(&at, &rest[index..], depth).unwrap_or(at));
        }
        Some(at)
    }

    /// Follows `names` through what the file of `at` brings into scope.
    fn through_reexport(&self, at: &ModulePath, names: &[String], depth: usize) -> Option<ModulePath> {
        let file = &self.files[at];
        let first = names.first()?;
        if depth >= REEXPORT_DEPTH_MAX || file.items.contains(first) {
            return None;
        }
        for (visible, path) in &file.uses {
            if visible == first {
                let mut full = path.clone();
                full.extend_from_slice(&names[1..]);
                return self.resolve(at, &full, depth + 1);
            }
            if visible == "*" {
                let target = self.resolve(at, path, depth + 1)?;
                if self.files[&target].items.contains(first) {
                    return Some(target);
                }
            }
        }
        None
    }

    /// Splits a path as written into the module where it starts and the segments below that.
    fn absolute<'a>(&self, from: &ModulePath, path: &'a [String]) -> Option<(ModulePath, &'a [String])> {
        let (first, mut rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some((Vec::new(), rest)),
            "self" => Some((from.clone(), rest)),
            "super" => {
                let mut at = from.clone();
                at.pop()?;
                while rest.first().is_some_and(|segment| segment == "super") {
                    at.pop()?;
                    rest = &rest[1..];
                }
                Some((at, rest))
            }
            child if self.files.contains_key(&joined(from, child)) => Some((from.clone(), path)),
            _ => None,
        }
    }
}

fn joined(at: &ModulePath, segment: &str) -> ModulePath {
    let mut path = at.clone();
    path.push(segment.to_string());
    path
}

/// The first cycle in the order of the modules.
fn first_cycle(edges: &Edges) -> Option<Vec<ModulePath>> {
    let mut done = BTreeSet::new();
    edges.keys().find_map(|start| walk(start, edges, &mut Vec::new(), &mut done))
}

/// Depth first; `trail` is the way from the start to here.
fn walk(
    at: &ModulePath,
    edges: &Edges,
    trail: &mut Vec<ModulePath>,
    done: &mut BTreeSet<ModulePath>,
) -> Option<Vec<ModulePath>> {
    if let Some(first) = trail.iter().position(|module| module == at) {
        let mut cycle = trail[first..].to_vec();
        cycle.push(at.clone());
        return Some(cycle);
    }
    if done.contains(at) {
        return None;
    }
    trail.push(at.clone());
    for next in &edges[at] {
        if let Some(cycle) = walk(next, edges, trail, done) {
            return Some(cycle);
        }
    }
    trail.pop();
    done.insert(at.clone());
    None
}

/// The module that a file below `src` is; none for tests, and for the roots of binaries, which are crates of their own.
fn module_path(name: &str) -> Option<ModulePath> {
    let stem = name.strip_suffix(".rs")?;
    if stem == "main" || stem.starts_with("bin/") || stem.split('/').any(|part| part == "tests") {
        return None;
    }
    let mut path: ModulePath = stem.split('/').map(str::to_string).collect();
    if matches!(path.last().map(String::as_str), Some("mod" | "lib")) {
        path.pop();
    }
    Some(path)
}

fn read_file(name: &str, source: &str) -> File {
    let tokens = tokens(before_tests(source));
    let mut file = File { name: name.to_string(), ..File::default() };
    let mut only_contents = true;
    let mut index = 0;
    while index < tokens.len() {
        match &tokens[index] {
            Token::Word(word) if word == "use" => {
                index = read_use(&tokens, index + 1, &mut file);
                continue;
            }
            Token::Word(word) if defines_item(word) => {
                only_contents &= word == "mod";
                if let Some(Token::Word(item)) = tokens.get(index + 1) {
                    file.items.insert(item.clone());
                }
            }
            Token::Word(_) if starts_path(&tokens, index) => {
                let (path, next) = read_path(&tokens, index);
                file.paths.push(path);
                index = next;
                continue;
            }
            Token::Word(word) if word == "impl" || word == "macro_rules" => only_contents = false,
            _ => {}
        }
        index += 1;
    }
    file.contents_only = only_contents;
    file
}

/// What stands before the tests of a file; a declaration of a file of tests ends nothing.
fn before_tests(source: &str) -> &str {
    let opens_module = |rest: &str| rest.lines().nth(1).is_some_and(|line| line.contains('{'));
    let mut starts = source.match_indices("#[cfg(test)]\nmod ").map(|(start, _)| start);
    starts.find(|start| opens_module(&source[*start..])).map_or(source, |end| &source[..end])
}

fn defines_item(word: &str) -> bool {
    matches!(word, "struct" | "enum" | "union" | "trait" | "fn" | "const" | "static" | "type" | "mod")
}

fn starts_path(tokens: &[Token], index: usize) -> bool {
    let follows_colons = index > 0 && tokens[index - 1] == Token::Colons;
    !follows_colons && tokens.get(index + 1) == Some(&Token::Colons)
}

/// Reads `a::b::c` from `index`; returns its segments and the index past them.
fn read_path(tokens: &[Token], mut index: usize) -> (Vec<String>, usize) {
    let mut path = Vec::new();
    while let Some(Token::Word(word)) = tokens.get(index) {
        path.push(word.clone());
        index += 1;
        if tokens.get(index) != Some(&Token::Colons) {
            break;
        }
        index += 1;
    }
    (path, index)
}

/// Reads a `use` statement from `index` to its semicolon and returns the index past it.
fn read_use(tokens: &[Token], index: usize, file: &mut File) -> usize {
    let end = tokens[index..]
        .iter()
        .position(|token| *token == Token::Other(';'))
        .map_or(tokens.len(), |length| index + length);
    let mut at = index;
    read_tree(&tokens[..end], &mut at, &[], file);
    end + 1
}

/// Reads one tree of a `use` statement: a path, a glob, or a group of trees.
fn read_tree(tokens: &[Token], at: &mut usize, prefix: &[String], file: &mut File) {
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match token {
            Token::Colons => {}
            Token::Word(word) if word == "as" => {
                let visible = match tokens.get(*at) {
                    Some(Token::Word(visible)) => visible.clone(),
                    _ => String::new(),
                };
                *at += 1;
                add_use(file, visible, path);
                return;
            }
            Token::Word(word) => path.push(word.clone()),
            Token::Other('*') => {
                add_use(file, "*".to_string(), path);
                return;
            }
            Token::Other('{') => {
                while *at < tokens.len() && tokens[*at] != Token::Other('}') {
                    read_tree(tokens, at, &path, file);
                    if tokens.get(*at) == Some(&Token::Other(',')) {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            Token::Other(_) => {
                *at -= 1;
                break;
            }
        }
    }
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let visible = path.last().cloned().unwrap_or_default();
    add_use(file, visible, path);
}

fn add_use(file: &mut File, visible: String, path: Vec<String>) {
    file.paths.push(path.clone());
    file.uses.push((visible, path));
}

/// Cuts source into tokens, without comments and literals.
fn tokens(source: &str) -> Vec<Token> {
    let bytes: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let mut index = 0;
    while index < bytes.len() {
        let here = bytes[index];
        let next = bytes.get(index + 1).copied();
        index = match here {
            '/' if next == Some('/') => skip_line(&bytes, index),
            '/' if next == Some('*') => skip_block_comment(&bytes, index),
            '"' => skip_string(&bytes, index),
            'r' if raw_string_hashes(&bytes, index).is_some() => skip_raw_string(&bytes, index),
            '\'' => skip_quote(&bytes, index),
            ':' if next == Some(':') => {
                found.push(Token::Colons);
                index + 2
            }
            letter if letter.is_alphabetic() || letter == '_' => {
                let end = word_end(&bytes, index);
                found.push(Token::Word(bytes[index..end].iter().collect()));
                end
            }
            space if space.is_whitespace() => index + 1,
            other => {
                found.push(Token::Other(other));
                index + 1
            }
        };
    }
    found
}

fn word_end(bytes: &[char], start: usize) -> usize {
    (start..bytes.len()).find(|at| !(bytes[*at].is_alphanumeric() || bytes[*at] == '_')).unwrap_or(bytes.len())
}

fn skip_line(bytes: &[char], start: usize) -> usize {
    (start..bytes.len()).find(|at| bytes[*at] == '\n').unwrap_or(bytes.len())
}

fn skip_block_comment(bytes: &[char], start: usize) -> usize {
    (start + 2..bytes.len().saturating_sub(1))
        .find(|at| bytes[*at] == '*' && bytes[at + 1] == '/')
        .map_or(bytes.len(), |at| at + 2)
}

fn skip_string(bytes: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != '"' {
        at += if bytes[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The number of `#` of a raw string that starts here.
fn raw_string_hashes(bytes: &[char], start: usize) -> Option<usize> {
    let hashes = bytes[start + 1..].iter().take_while(|here| **here == '#').count();
    let starts_a_word = start > 0 && (bytes[start - 1].is_alphanumeric() || bytes[start - 1] == '_');
    (bytes.get(start + 1 + hashes) == Some(&'"') && (!starts_a_word || bytes[start - 1] == 'b')).then_some(hashes)
}

fn skip_raw_string(bytes: &[char], start: usize) -> usize {
    let hashes = raw_string_hashes(bytes, start).unwrap_or(0);
    let ends = |at: usize| bytes[at] == '"' && (1..=hashes).all(|more| bytes.get(at + more) == Some(&'#'));
    (start + hashes + 2..bytes.len()).find(|at| ends(*at)).map_or(bytes.len(), |at| at + 1 + hashes)
}

/// Skips a character literal; of a lifetime only its quote.
fn skip_quote(bytes: &[char], start: usize) -> usize {
    if bytes.get(start + 1) == Some(&'\\') {
        return (start + 3..bytes.len()).find(|at| bytes[*at] == '\'').map_or(bytes.len(), |at| at + 1);
    }
    if bytes.get(start + 2) == Some(&'\'') { start + 3 } else { start + 1 }
}
