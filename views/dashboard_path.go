package views

import (
	"net/url"
	"strconv"

	"xsynesis/id"
)

// The lists of the dashboard, and the stream that says when one of them changed.
const (
	HomePath            = "/" // leads to the dashboard, or where else somebody's role lets him begin
	OverviewPath        = "/dashboard"
	SalesPath           = "/dashboard/sales"
	SalesCSVPath        = "/dashboard/sales.csv"
	SettlementsPath     = "/dashboard/settlements"
	LinksPath           = "/dashboard/links"
	LinkNewPath         = "/dashboard/links/new"
	DashboardEventsPath = "/dashboard/events"
	PresencePath        = "/dashboard/presence" // answers a page that asks whether it may stay open
)

// LinkDetailPath is a link as its seller sees it; [LinkPath] is what buyers open.
func LinkDetailPath(link id.Link) string { return LinksPath + "/" + url.PathEscape(string(link)) }

// LinkEditPath is the form of an existing link; posting to it changes the link.
func LinkEditPath(link id.Link) string { return LinkDetailPath(link) + "/edit" }

// LinkExpirePath asks whether to end a link; posting to it does.
func LinkExpirePath(link id.Link) string { return LinkDetailPath(link) + "/expire" }

// LinkDeletionPath asks whether to delete a link; posting to it does.
func LinkDeletionPath(link id.Link) string { return LinkDetailPath(link) + "/deletion" }

// SimulationsPath is where a simulated payment of an open purchase is posted, with the field "mode": direct or worker.
func SimulationsPath(attempt id.Attempt) string {
	return "/dashboard/attempts/" + url.PathEscape(string(attempt)) + "/simulations"
}

// qrPath is a link's code as an image in the format svg or png, size pixels wide.
func qrPath(token, format string, size int) string {
	q := url.Values{"token": {token}, "format": {format}, "size": {strconv.Itoa(size)}}
	return "/api/qr?" + q.Encode()
}

// purchasePath is a purchase as its seller opens it: without the buyer's token.
func purchasePath(attempt id.Attempt) string { return PurchasePath(string(attempt), "") }
