// Takes files that are dropped anywhere on the page.

import { byId } from "../common/dom.js";

/** Hand the first file of a drop to `onFile`, or an error message to `onRefused` if it has no file that can be used. */
export function startDrop(onFile, onRefused) {
  let depth = 0; // Every element under the pointer fires dragenter and dragleave.
  const show = () => (byId("drop").hidden = depth === 0);
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const count = (step) => (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth + step);
    show();
  };
  document.addEventListener("dragenter", count(1));
  document.addEventListener("dragleave", count(-1));
  document.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    show();
    const [item] = event.dataTransfer.items;
    if (item?.webkitGetAsEntry?.()?.isDirectory) onRefused("A folder cannot be dropped here: zip it, or use “zeon candles import FOLDER”.");
    else if (event.dataTransfer.files.length > 1) onRefused("Drop one file at a time, or a zip of them.");
    else onFile(event.dataTransfer.files[0]);
  });
}
