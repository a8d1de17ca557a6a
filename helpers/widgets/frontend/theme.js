// The colours of the notebook around the editor, dark or light.
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { drawSelection, EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const COLOURS = [
  [tags.propertyName, "property", "#05a"],
  [tags.string, "string", "#a22"],
  [tags.number, "number", "#080"],
  [[tags.bool, tags.null], "keyword", "#008000"],
];

const highlight = HighlightStyle.define([
  ...COLOURS.map(([tag, name, other]) => ({ tag, color: `var(--jp-mirror-editor-${name}-color, ${other})` })),
  { tag: [tags.brace, tags.squareBracket, tags.separator], color: "var(--jp-content-font-color1, inherit)" },
]);

const line = "1px solid var(--jp-border-color1, #888)";
const marked = "color-mix(in srgb, var(--jp-layout-color3, #ccc) 35%, transparent)";
const front = {
  backgroundColor: "var(--jp-layout-color1, canvas)",
  color: "var(--jp-ui-font-color1, canvastext)",
  border: line,
};

const look = EditorView.theme({
  "&": {
    backgroundColor: "var(--jp-cell-editor-background, transparent)",
    color: "var(--jp-content-font-color1, inherit)",
    fontSize: "var(--jp-code-font-size, 13px)",
    border: `${line} !important`, // JupyterLab takes border and outline from every editor
  },
  "&.cm-focused": { outline: "2px solid var(--jp-brand-color1, #1976d2) !important", outlineOffset: "-2px" },
  ".cm-scroller": { fontFamily: "var(--jp-code-font-family, monospace)", maxHeight: "60vh", overflow: "auto" },
  ".cm-content": { caretColor: "var(--jp-editor-cursor-color, currentcolor)" },
  ".cm-cursor": { borderLeftColor: "var(--jp-editor-cursor-color, currentcolor)" },
  ".cm-gutters": {
    backgroundColor: "var(--jp-layout-color2, transparent)",
    color: "var(--jp-content-font-color2, inherit)",
    border: "none",
  },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "transparent", color: "inherit" },
  "&.cm-focused .cm-activeLine, &.cm-focused .cm-activeLineGutter": { backgroundColor: marked },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    background: "var(--jp-editor-selected-background, #d7d4f0)",
  },
  "&.cm-focused .cm-matchingBracket, .cm-selectionMatch": { backgroundColor: marked },
  ".cm-searchMatch": { backgroundColor: marked, outline: "1px solid var(--jp-warn-color1, #b26a00)" },
  ".cm-searchMatch-selected": { backgroundColor: "var(--jp-editor-selected-background, #d7d4f0)" },
  ".cm-foldPlaceholder": front,
  ".cm-tooltip, .cm-panels": front,
  ".cm-tooltip-autocomplete ul li[aria-selected]": {
    backgroundColor: "var(--jp-brand-color1, #1976d2)",
    color: "var(--jp-ui-inverse-font-color1, #fff)",
  },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "bold" },
  ".cm-completionDetail": { fontStyle: "normal" },
  ".cm-completionInfo": { maxWidth: "26em" },
  ".cm-panels": { borderWidth: "1px 0 0" },
  ".cm-textfield, .cm-button": {
    background: "var(--jp-layout-color2, canvas)",
    color: "inherit",
    border: line,
    fontSize: "inherit",
  },
  ".cm-panel.cm-search label, .cm-panel.cm-search [name=close]": { fontSize: "inherit", color: "inherit" },
  ".cm-collapsedLines": {
    background: "var(--jp-layout-color2, #eee)",
    color: "var(--jp-ui-font-color1, inherit)",
    "&:before, &:after": { content: '"…"' },
  },
});

const still = matchMedia("(prefers-reduced-motion: reduce)").matches ? drawSelection({ cursorBlinkRate: 0 }) : [];

export const theme = [look, syntaxHighlighting(highlight), still];
