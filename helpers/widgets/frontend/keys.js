// What is typed in a widget is no command of the notebook: d d deletes no cell, Shift+Enter runs none.
export function keepFromNotebook(event) {
  const command = event.ctrlKey || event.metaKey || event.altKey;
  if (event.defaultPrevented || !command || event.key === "Enter") event.stopPropagation();
}
