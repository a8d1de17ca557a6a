// The payload editor.
import { json } from "@codemirror/lang-json";
import { bidiIsolates } from "@codemirror/language";
import { lintGutter } from "@codemirror/lint";
import { EditorState, Prec } from "@codemirror/state";
import { EditorView, keymap, tooltips } from "@codemirror/view";
import { basicSetup } from "codemirror";

import { completion } from "./completion.js";
import { keepFromNotebook } from "./keys.js";
import { marks, refresh } from "./marks.js";
import { share } from "./sharing.js";
import { theme } from "./theme.js";

export function renderEditor(model, el) {
  const shared = share(model, recheck);
  const status = statusIn(el);
  const view = new EditorView({
    parent: el,
    doc: shared.text,
    extensions: [
      Prec.highest(keymap.of([{ key: "Mod-Enter", run: submit }])),
      completion(model),
      tooltips({ parent: document.body }),
      basicSetup,
      json(),
      lintGutter(),
      marks(model, shared, announce),
      EditorState.lineSeparator.of("\n"),
      EditorView.clipboardInputFilter.of((text) => text.replace(/\r\n?/g, "\n")),
      EditorView.lineWrapping,
      bidiIsolates(),
      EditorView.contentAttributes.of({ "aria-label": model.get("label"), "aria-multiline": "true" }),
      EditorView.updateListener.of(shared.watch),
      EditorView.domEventHandlers({ blur: () => void shared.flush() }),
      theme,
    ],
  });

  function submit() {
    shared.submit();
    return true;
  }

  function recheck() {
    view.dispatch({ effects: refresh.of(null) });
  }

  function announce(found) {
    const first = found.find((one) => one.severity === "error") ?? found[0];
    const more = found.length > 1 ? ` (and ${found.length - 1} more)` : "";
    const said = first ? first.message + more : "";
    if (status.textContent !== said) status.textContent = said;
  }

  el.addEventListener("keydown", keepFromNotebook);
  model.on("change:diagnostics", recheck);
  shared.begin(view);
  return () => {
    shared.end();
    model.off("change:diagnostics", recheck);
    view.destroy();
  };
}

// What a screen reader is told of the marks; not to be seen.
function statusIn(el) {
  const status = document.createElement("div");
  status.setAttribute("role", "status");
  status.style.cssText = "position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%)";
  el.style.position = "relative";
  el.append(status);
  return status;
}
