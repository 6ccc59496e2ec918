package views

import (
	"encoding/json"

	"xsynesis/static"
)

// Installed, the till opens without the browser around it. Handlers serve, to everybody:
//
//	GET /pos/manifest.webmanifest  [TillManifest] as application/manifest+json
//	GET /pos/worker.js             [TillWorker] as text/javascript, no-cache, Service-Worker-Allowed: /pos
//	GET, HEAD /pos/offline         [TillOffline], no-cache
//
// The worker keeps files of the program, whose names change with their content, and that one page. It answers no address
// of a purchase, and keeps no answer of one.

// TillManifest tells a tablet how to install the till.
func TillManifest() []byte {
	type icon struct {
		Source  string `json:"src"`
		Sizes   string `json:"sizes"`
		Type    string `json:"type"`
		Purpose string `json:"purpose"`
	}
	b, err := json.Marshal(struct {
		ID          string `json:"id"`
		Name        string `json:"name"`
		ShortName   string `json:"short_name"`
		Description string `json:"description"`
		StartURL    string `json:"start_url"`
		Scope       string `json:"scope"`
		Display     string `json:"display"`
		Orientation string `json:"orientation"`
		Background  string `json:"background_color"`
		Theme       string `json:"theme_color"`
		Icons       []icon `json:"icons"`
	}{
		ID: TillPath, Name: "xSynesis till", ShortName: "Till", Description: "Take payments in USDC at the counter.",
		StartURL: TillPath, Scope: TillPath, Display: "standalone", Orientation: "any", Background: "#F5F5F2", Theme: "#15161A",
		Icons: []icon{
			{asset("icons/till-192.png"), "192x192", "image/png", "any"},
			{asset("icons/till-512.png"), "512x512", "image/png", "any"},
			{asset("icons/till-maskable-512.png"), "512x512", "image/png", "maskable"},
		},
	})
	if err != nil {
		panic(err) // strings alone are always encoded
	}
	return b
}

// tillShell is what the till needs to be drawn.
var tillShell = []string{
	"css/base.css", "css/till.css", "js/till.js", "img/icon.svg",
}

// TillWorker is the till's service worker, with the names of the files that it keeps.
func TillWorker() []byte {
	shell := []string{TillOfflinePath}
	for _, name := range tillShell {
		shell = append(shell, asset(name))
	}
	names, err := json.Marshal(shell)
	if err != nil {
		panic(err) // strings alone are always encoded
	}
	return append([]byte("const shell = "+string(names)+";\n"), static.Content("js/till-worker.js")...)
}

func tillOfflinePage() Page {
	return counterFrame("No network", false)
}
