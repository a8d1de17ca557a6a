// Names and values that may stand at the cursor, each with its meaning.
import { autocompletion, pickedCompletion } from "@codemirror/autocomplete";

import { namesIn, placeAt } from "./places.js";

export function completion(model) {
  return autocompletion({
    override: [(context) => offers(context, model.get("completions"))],
    icons: false,
    interactionDelay: 0, // an Enter typed fast is no line break: names and values have none
  });
}

function offers({ state, pos, explicit }, completions) {
  const at = placeAt(state, pos);
  if (!at) return null;
  const written = state.sliceDoc(at.from, pos);
  if (!written && !explicit) return null;
  const word = written.replace(/^"/, "");
  const taken = at.object ? namesIn(state, at.object) : [];
  const fits = (label) => label.toLowerCase().startsWith(word.toLowerCase());
  const shown = (completions[at.object ? at.place : `${at.place}=`] ?? [])
    .filter(({ label }) => fits(label) && (label === word || !taken.includes(label)))
    .map(({ label, detail, info, apply }) => ({ label, detail, info, apply: put(at, label, apply) }));
  return shown.length ? { from: at.from, to: at.to, options: shown, filter: false } : null;
}

// A whole field with a first value, which is selected; where a value stands already, only the name.
function put(at, label, apply) {
  return (view, option, from) => {
    const to = Math.max(at.to, view.state.selection.main.head);
    const after = view.state.sliceDoc(to, to + 1000);
    const named = at.object && /^\s*:/.test(after);
    const text = named ? JSON.stringify(label) : apply;
    const comma = at.object && !named && /^\s*"/.test(after) ? "," : "";
    const value = at.object && !named ? from + JSON.stringify(label).length + 2 : from + text.length;
    view.dispatch({
      changes: { from, to, insert: text + comma },
      selection: { anchor: value, head: from + text.length },
      annotations: pickedCompletion.of(option),
      userEvent: "input.complete",
    });
  };
}
