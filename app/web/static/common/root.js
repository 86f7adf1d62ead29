// Where this server's paths begin: behind a proxy that may be a folder, such as /zeon.

const HOME = new URL("../..", import.meta.url);

/** The address of this server, without a slash at its end. */
export const server = HOME.href.replace(/\/$/, "");

/** Return the address of a page or call of this server, such as "/docs". */
export const at = (path) => HOME.pathname.replace(/\/$/, "") + path;
