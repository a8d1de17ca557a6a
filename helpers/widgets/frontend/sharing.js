// One text that the page and the kernel both change, each without waiting for the other.
//
// `agreed` is the newest text that the kernel is known to hold; `sent` and `later` are the page's changes since.
// The kernel counts its own changes: what was typed without having seen the newest of them it passes over, for it
// comes again, on top of that change. So neither side overwrites what the other has not seen.
import { isolateHistory } from "@codemirror/commands";
import { Annotation, ChangeSet, Text } from "@codemirror/state";

const PAUSE = 200; // milliseconds after the last key until the kernel is told
const A_SECOND = 5_000_000; // characters that make the pause a second longer
const PIECE = 1_000_000; // characters of one message: a server hangs up at messages of 10 MB

const fromKernel = Annotation.define();

export function share(model, onAgreed) {
  const me = Math.random();
  let view = null;
  let timer = null;
  let number = 0;
  let agreed = textOf(model.get("value"));
  let sent = []; // { number, changes, submit }, the oldest first
  let later = ChangeSet.empty(agreed.length);

  const pending = () => sent.reduceRight((rest, one) => one.changes.compose(rest), later);

  function watch(update) {
    if (!update.docChanged || update.transactions.some((one) => one.annotation(fromKernel))) return;
    later = later.compose(update.changes);
    schedule();
  }

  function schedule() {
    clearTimeout(timer);
    timer = setTimeout(calmly, PAUSE + (1000 * view.state.doc.length) / A_SECOND);
  }

  // While the kernel is busy, one message waits for it, not one for each pause.
  function calmly() {
    if (sent.length === 0) flush();
  }

  function flush() {
    if (!later.empty) send(false);
  }

  function send(submit) {
    clearTimeout(timer);
    writeHalvesOut(view);
    const text = later.empty ? null : view.state.doc.toString();
    sent.push({ number: ++number, changes: later, submit });
    later = ChangeSet.empty(view.state.doc.length);
    if (text !== null) model.set("value", text); // for further views of this model; it is not saved from here
    const pieces = text === null ? [] : piecesOf(text);
    for (const piece of pieces.slice(0, -1)) model.send({ type: "piece", text: piece, by: me });
    const last = pieces.at(-1) ?? null;
    model.send({ type: "typed", text: last, submit, number, by: me, seen: model.get("version") });
  }

  function taken({ type, by, number }) {
    if (type !== "taken" || by !== me) return;
    while (sent.length && sent[0].number <= number) agreed = sent.shift().changes.apply(agreed);
    onAgreed();
    if (!later.empty) schedule();
  }

  function changedByKernel() {
    const again = sent.some((one) => one.submit);
    adopt(model.get("value"));
    if (again) send(true);
    else if (!later.empty) schedule();
  }

  function changedByAnotherView() {
    if (pending().empty) adopt(model.get("value"));
  }

  function adopt(value) {
    const theirs = difference(agreed.toString(), value);
    const ours = pending();
    sent = [];
    later = ours.map(theirs, true);
    agreed = textOf(value);
    if (!theirs.empty) {
      view.dispatch({ changes: theirs.map(ours), annotations: [fromKernel.of(true), isolateHistory.of("full")] });
    }
    onAgreed();
  }

  const hide = () => document.visibilityState === "hidden" && flush();

  return {
    text: agreed,
    agreed: () => agreed,
    pending,
    watch,
    flush,
    submit: () => send(true),
    begin(shown) {
      view = shown;
      model.on("msg:custom", taken);
      model.on("change:version", changedByKernel);
      model.on("change:value", changedByAnotherView);
      addEventListener("pagehide", flush);
      document.addEventListener("visibilitychange", hide);
      model.send({ type: "here" });
    },
    end() {
      flush();
      clearTimeout(timer);
      model.off("msg:custom", taken);
      model.off("change:version", changedByKernel);
      model.off("change:value", changedByAnotherView);
      removeEventListener("pagehide", flush);
      document.removeEventListener("visibilitychange", hide);
    },
  };
}

// The text in pieces, none of which ends within a character.
function piecesOf(text) {
  const pieces = [];
  let start = 0;
  do {
    let end = start + PIECE;
    if (text.codePointAt(end - 1) > 0xffff) end++;
    pieces.push(text.slice(start, end));
    start = end;
  } while (start < text.length);
  return pieces;
}

function textOf(value) {
  return Text.of(value.split("\n"));
}

// Only what differs, so that the cursor and the undo history stay.
function difference(now, next) {
  const most = Math.min(now.length, next.length);
  let start = 0;
  while (start < most && now.charCodeAt(start) === next.charCodeAt(start)) start++;
  let end = 0;
  while (end < most - start && now.charCodeAt(now.length - 1 - end) === next.charCodeAt(next.length - 1 - end)) end++;
  if (now.length === next.length && start === now.length) return ChangeSet.empty(now.length);
  const insert = textOf(next.slice(start, next.length - end));
  return ChangeSet.of({ from: start, to: now.length - end, insert }, now.length);
}

// Half of a character cannot be sent as UTF-8: write its escape, which JSON reads as the same.
function writeHalvesOut(view) {
  const halves = [...view.state.doc.toString().matchAll(/\p{Surrogate}/gu)];
  if (halves.length === 0) return;
  const escape = (half) => `\\u${half.charCodeAt(0).toString(16)}`;
  view.dispatch({
    changes: halves.map((half) => ({ from: half.index, to: half.index + 1, insert: escape(half[0]) })),
  });
}
