// Two texts side by side, to be read: what is the same is folded away.
import { json } from "@codemirror/lang-json";
import { bidiIsolates } from "@codemirror/language";
import { MergeView } from "@codemirror/merge";
import { EditorState } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { minimalSetup } from "codemirror";

import { keepFromNotebook } from "./keys.js";
import { theme } from "./theme.js";

const FOLDED = { margin: 2, minSize: 4 }; // lines that stay around a change; lines that are worth folding
const TRAITS = ["left", "right", "left_label", "right_label"];

export function renderDifference(model, el) {
  let shown = null;

  function draw() {
    const [left, right, leftLabel, rightLabel] = TRAITS.map((name) => model.get(name));
    shown?.destroy();
    el.replaceChildren(headings(leftLabel, rightLabel));
    shown = new MergeView({
      a: side(left, leftLabel),
      b: side(right, rightLabel),
      parent: el,
      collapseUnchanged: FOLDED,
    });
  }

  for (const name of TRAITS) model.on(`change:${name}`, draw);
  el.addEventListener("keydown", keepFromNotebook);
  draw();
  return () => {
    for (const name of TRAITS) model.off(`change:${name}`, draw);
    el.removeEventListener("keydown", keepFromNotebook);
    shown.destroy();
  };
}

function side(doc, label) {
  const extensions = [
    minimalSetup,
    json(),
    EditorView.lineWrapping,
    bidiIsolates(),
    EditorState.lineSeparator.of("\n"),
    EditorState.readOnly.of(true),
    EditorView.contentAttributes.of({ "aria-label": label, "aria-multiline": "true", "aria-readonly": "true" }),
    theme,
  ];
  return { doc, extensions };
}

function headings(...labels) {
  const row = document.createElement("div");
  row.style.cssText = "display: flex; color: var(--jp-ui-font-color1, inherit); line-height: 1.6";
  for (const label of labels) {
    const heading = document.createElement("div");
    heading.textContent = label;
    heading.dir = "auto";
    heading.style.cssText = "flex: 1 1 0; min-width: 0; padding: 0 6px; overflow-wrap: anywhere";
    row.append(heading);
  }
  return row;
}
