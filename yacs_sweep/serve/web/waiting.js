// Waits for the page of a sweep, and opens it; what it is to show is in the address.
"use strict";
(async () => {
  const said = document.getElementById("waiting");
  try {
    const response = await fetch(said.dataset.ready, { credentials: "same-origin" });
    if (response.ok) location.reload();
    else said.textContent = await response.text();
  } catch (error) {
    said.textContent = `The server does not answer (${error.message}).`;
  }
})();
