package views

// icons are drawn on a 20 grid with strokes of 1.7.
var icons = map[string]string{
	"api":      "M7 6 3 10l4 4M13 6l4 4-4 4",
	"back":     "M12 4 6 10l6 6",
	"balance":  "M3 6h14v10H3zM3 9h14M13 12.5h1",
	"bell":     "M5 14V9a5 5 0 0 1 10 0v5l1.5 1.5h-13zM8.5 17.5h3",
	"chevron":  "m5 7.5 5 5 5-5",
	"close":    "m5 5 10 10M15 5 5 15",
	"codes":    "M3 6h14v3a1.5 1.5 0 0 0 0 3v3H3v-3a1.5 1.5 0 0 0 0-3zM12 6v9",
	"copy":     "M7 7h9v9H7zM4 13V4h9",
	"download": "M10 3v10M6 9.5l4 4 4-4M4 17h12",
	"home":     "m3 9 7-6 7 6v8h-5v-5H8v5H3z",
	"items":    "m10 2.5 7 3.5v8l-7 3.5L3 14V6zM3 6l7 3.5L17 6M10 9.5v8",
	"link":     "M8.5 11.5a3 3 0 0 0 4.2 0l2.8-2.8a3 3 0 0 0-4.2-4.2l-.8.8M11.5 8.5a3 3 0 0 0-4.2 0l-2.8 2.8a3 3 0 0 0 4.2 4.2l.8-.8",
	"more":     "M4 10h.01M10 10h.01M16 10h.01",
	"out":      "M11 3h6v6M17 3l-8 8M14 12v5H3V6h5",
	"plus":     "M10 4v12M4 10h12",
	"print":    "M6 7V3h8v4M6 14H3V7h14v7h-3M6 12h8v5H6z",
	"reports":  "M4 17V9M10 17V3M16 17v-6",
	"right":    "m7.5 5 5 5-5 5",
	"sales":    "M4 3h12v14l-3-2-3 2-3-2-3 2zM7 7h6M7 10.5h6",
	"search":   "M9 3.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11zM13 13l4 4",
	"settings": "M3 6h8M15 6h2M11 4v4M3 14h2M9 14h8M9 12v4",
	"staff":    "M8 9.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2.5 17c0-3 2.5-5 5.5-5s5.5 2 5.5 5M13.5 4a3 3 0 0 1 0 5.5M15 12.5c1.6.8 2.5 2.5 2.5 4.5",
	"till":     "M4 3h12v14H4zM7 6h6v2H7zM7 11h.01M10 11h.01M13 11h.01M7 14h.01M10 14h.01M13 14h.01",
	"webhooks": "M10 3v7l-4 5M10 10l5 4M10 3h.01M5.5 15.5h.01M15.5 14.5h.01",
}
