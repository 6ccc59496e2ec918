package id

import "slices"

// reserved are names in addresses that would pass for the gateway itself, or that it may need one day.
var reserved = []string{
	"account", "admin", "api", "app", "assets", "billing", "cart", "checkout", "dashboard", "docs", "health", "help", "images", "link", "login", "logout",
	"mail", "operator", "pay", "payment", "payments", "pos", "receipt", "refund", "root", "security", "settings", "signup", "static", "status", "support",
	"system", "verify", "wallet", "webhooks", "www", "x402", "xsynesis",
}

// Reserved tells whether no shop may have this name in addresses.
func Reserved(slug string) bool { return slices.Contains(reserved, slug) }
