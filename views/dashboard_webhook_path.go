package views

import (
	"net/url"
	"strconv"

	"xsynesis/id"
)

// The pages about telling the shop's own servers, and the bell.
const (
	WebhooksPath   = "/dashboard/webhooks"
	WebhookNewPath = WebhooksPath + "/new"
	DeliveriesPath = WebhooksPath + "/deliveries"
	ReplaysPath    = WebhooksPath + "/replays"
	ReplayNewPath  = ReplaysPath + "/new"

	NoticesPath     = "/dashboard/notices"
	NoticeReadsPath = NoticesPath + "/reads"
)

// WebhookPath is one webhook: where events are sent, and how that goes.
func WebhookPath(s id.Subscription) string { return WebhooksPath + "/" + url.PathEscape(string(s)) }

// WebhookEditPath is the form of an existing webhook; posting to it changes the webhook.
func WebhookEditPath(s id.Subscription) string { return WebhookPath(s) + "/edit" }

// WebhookStatusPath takes the field "status": active or paused.
func WebhookStatusPath(s id.Subscription) string { return WebhookPath(s) + "/status" }

// WebhookRotationPath asks whether to make a new secret; posting to it does, and shows the secret once.
func WebhookRotationPath(s id.Subscription) string { return WebhookPath(s) + "/rotation" }

// WebhookRotationEndPath asks whether to stop signing with the old secret; posting to it does.
func WebhookRotationEndPath(s id.Subscription) string { return WebhookRotationPath(s) + "/end" }

// WebhookTestsPath is where a test event is posted.
func WebhookTestsPath(s id.Subscription) string { return WebhookPath(s) + "/tests" }

// WebhookRemovalPath asks whether to remove a webhook; posting to it does.
func WebhookRemovalPath(s id.Subscription) string { return WebhookPath(s) + "/removal" }

// DeliveryPath is one delivery: an event on its way to one webhook, and every try.
func DeliveryPath(d id.Delivery) string { return DeliveriesPath + "/" + url.PathEscape(string(d)) }

// DeliveryTryPath is a delivery's page with one of its tries chosen; raw shows the body as it was sent.
func DeliveryTryPath(d id.Delivery, try int, raw bool) string {
	q := url.Values{}
	if try > 0 {
		q.Set("try", strconv.Itoa(try))
	}
	if raw {
		q.Set("view", "raw")
	}
	if len(q) == 0 {
		return DeliveryPath(d)
	}
	return DeliveryPath(d) + "?" + q.Encode()
}

// tryFragment is where in that page the chosen try stands.
const tryFragment = "#shown"

// DeliveryReplaysPath is where sending one delivery again is posted.
func DeliveryReplaysPath(d id.Delivery) string { return DeliveryPath(d) + "/replays" }

// DeliveriesOfPath lists the deliveries of one webhook, in one state where that is given.
func DeliveriesOfPath(s id.Subscription, status string) string {
	q := url.Values{"webhook": {string(s)}}
	if status != "" {
		q.Set("status", status)
	}
	return DeliveriesPath + "?" + q.Encode()
}

// ReplayPath shows how sending many again goes.
func ReplayPath(r id.Replay) string { return ReplaysPath + "/" + url.PathEscape(string(r)) }
