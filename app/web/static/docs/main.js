// The reference of the API: Swagger UI shows /openapi.json and makes calls to this server only.

import { byId } from "../common/dom.js";
import { startLogout } from "../common/logout.js";
import { at } from "../common/root.js";
import { onTheme, startTheme } from "../common/theme.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

onTheme(() => {
  const chosen = document.documentElement.dataset.theme;
  document.documentElement.classList.toggle("dark-mode", chosen ? chosen === "dark" : dark.matches);
});
startTheme();
startLogout();

if (window.SwaggerUIBundle) {
  window.SwaggerUIBundle({
    url: at("/openapi.json"),
    domNode: byId("reference"),
    deepLinking: true,
    validatorUrl: null,
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    persistAuthorization: false,
  });
} else {
  byId("problem").hidden = false;
  byId("problem").textContent = "The reference is missing in this installation. /openapi.json has the same in JSON.";
}
