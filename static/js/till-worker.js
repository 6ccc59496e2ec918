// The till's service worker. The list of files stands above, written by the server. It keeps what draws the till and one
// page that says that the network is gone. It never keeps, and never answers itself, anything of a purchase.
"use strict";

const cacheName = `till-${shell.join().split("").reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) >>> 0, 7).toString(36)}`;
const [offline, ...files] = shell;

addEventListener("install", (event) => {
  event.waitUntil(caches.open(cacheName).then((cache) => cache.addAll(shell)).then(() => skipWaiting()));
});

addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name.startsWith("till-") && name !== cacheName) await caches.delete(name);
    await clients.claim();
  })());
});

addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  if (files.includes(url.pathname)) return event.respondWith(kept(request));
  // Every other answer comes from the server or not at all. A screen that cannot be opened says so.
  if (request.mode === "navigate") event.respondWith(fetch(request).catch(() => kept(offline)));
});

async function kept(request) {
  const cache = await caches.open(cacheName);
  return (await cache.match(request)) ?? fetch(request);
}
