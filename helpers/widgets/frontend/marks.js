// What is wrong in the text, at its places: what the page sees at once, and what the kernel says.
import { ensureSyntaxTree } from "@codemirror/language";
import { linter } from "@codemirror/lint";
import { StateEffect } from "@codemirror/state";

const PAUSE = 250; // milliseconds after a change until the marks are set anew
const LONG = 1_000_000; // characters from which on only the kernel looks
const PARSING = 200; // milliseconds at most

export const refresh = StateEffect.define();

const isRefresh = (update) =>
  update.transactions.some((one) => one.effects.some((effect) => effect.is(refresh)));

export function marks(model, shared, announce) {
  function find({ state }) {
    const said = fromKernel(model.get("diagnostics"), shared);
    const seen = shared.pending().empty && said.some((one) => one.severity === "error") ? [] : firstFault(state);
    const found = seen.length && !shared.pending().empty ? seen : [...said, ...seen];
    announce(found);
    return found;
  }
  return linter(find, { delay: PAUSE, needsRefresh: isRefresh });
}

// The kernel counts characters of the text it holds; the page counts UTF-16 units of the text it shows.
function fromKernel(diagnostics, shared) {
  if (diagnostics.length === 0) return [];
  const units = unitsOf(shared.agreed().toString());
  const changes = shared.pending();
  return diagnostics.map(({ start, end, severity, message }) => {
    const from = changes.mapPos(units(start), 1);
    return { from, to: Math.max(from, changes.mapPos(units(end), -1)), severity, message };
  });
}

function unitsOf(text) {
  const pair = /[\ud800-\udbff][\udc00-\udfff]/g;
  const pairs = Array.from(text.matchAll(pair), (one) => one.index);
  return (characters) => {
    let low = 0; // how many pairs stand before it: the nth pair is the character at its index - n
    let high = pairs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (pairs[middle] - middle < characters) low = middle + 1;
      else high = middle;
    }
    return Math.min(characters + low, text.length);
  };
}

function firstFault(state) {
  const tree = state.doc.length < LONG && ensureSyntaxTree(state, state.doc.length, PARSING);
  if (!tree || state.doc.length === 0) return [];
  let at = null;
  tree.iterate({
    enter(node) {
      if (node.type.isError) at ??= node.from;
      return at === null;
    },
  });
  if (at === null) return [];
  const to = Math.min(state.doc.length, at + 1);
  return [{ from: Math.min(at, to), to, severity: "error", message: "The text is no JSON from here on." }];
}
