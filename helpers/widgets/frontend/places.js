// Where the cursor is in a payload, in the words of the completions: "messages[].role".
import { syntaxTree } from "@codemirror/language";

const NEAR = 300; // characters before the cursor in which the last { [ , or : is looked for
const WORD = /"?[^\s"{}[\],:]*$/;
const NAME = /("(?:[^"\\]|\\.)*")\s*$/;
const REST = /^[^\s"{}[\],:]*/;

// Returns { place, from, to, object }: the field or item at `pos`, what is written of it already, and, where a
// name is being written, the object it belongs to. Null where nothing may begin.
export function placeAt(state, pos) {
  const text = syntaxTree(state).resolveInner(pos, -1);
  const inText = text.name === "String" || text.name === "PropertyName";
  const before = state.sliceDoc(Math.max(0, pos - NEAR), pos);
  const from = inText ? text.from : pos - WORD.exec(before)[0].length;
  const sign = before.slice(0, Math.max(0, before.length - (pos - from))).trimEnd();
  const last = sign.at(-1);
  const box = enclosing(syntaxTree(state).resolveInner(from, -1), from);
  if (!box) return null;
  const to = inText ? text.to : pos + REST.exec(state.sliceDoc(pos, pos + NEAR))[0].length;
  if (box.name === "Array") {
    return last === "[" || last === "," ? { place: `${placeOf(state, box)}[]`, from, to } : null;
  }
  if (last === "{" || last === ",") return { place: placeOf(state, box), from, to, object: box };
  if (last !== ":") return null;
  const name = NAME.exec(sign.slice(0, -1));
  return name && { place: join(placeOf(state, box), parsed(name[1])), from, to };
}

export function namesIn(state, object) {
  return object.getChildren("Property").map((property) => nameOf(state, property));
}

function placeOf(state, box) {
  const steps = [];
  for (let node = box; node.parent; node = node.parent) {
    if (node.parent.name === "Array") steps.unshift("[]");
    if (node.parent.name === "Property") steps.unshift(nameOf(state, node.parent));
  }
  return steps.reduce(join, "");
}

function join(place, step) {
  return place && step !== "[]" ? `${place}.${step}` : place + step;
}

function nameOf(state, property) {
  const name = property.getChild("PropertyName");
  return name ? parsed(state.sliceDoc(name.from, name.to)) : "";
}

function parsed(name) {
  try {
    return JSON.parse(name);
  } catch {
    return name.replaceAll('"', "");
  }
}

function enclosing(node, pos) {
  const open = ({ name, from, to, lastChild }) =>
    (name === "Object" || name === "Array") && from < pos && (pos < to || !/[}\]]/.test(lastChild.name));
  while (node && !open(node)) node = node.parent;
  return node;
}
