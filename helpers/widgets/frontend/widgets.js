// What anywidget loads: one bundle for both widgets.
import { renderDifference } from "./difference.js";
import { renderEditor } from "./editor.js";

const KINDS = { editor: renderEditor, difference: renderDifference };

function render({ model, el }) {
  return KINDS[model.get("kind")](model, el);
}

export default { render };
