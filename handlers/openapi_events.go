package handlers

import (
	"strings"

	"github.com/labstack/echo/v4"

	"xsynesis/webhook"
)

// eventHeaders are what every try of an event carries beside its body.
var eventHeaders = []apiParam{
	{webhook.HeaderSignature, "HMAC-SHA256 of the raw body in lower-case hex; the key is the whole secret, of a rotation the old one."},
	{webhook.HeaderSignatureNext, "The same with the new secret, while a rotation lasts."},
	{"webhook-id", "The event's id, the same in all tries."},
	{"webhook-timestamp", "When this try was made, in Unix seconds."},
	{"webhook-signature", "v1 and the base64 of HMAC-SHA256 over id, timestamp and body; two during a rotation."},
	{"X-Webhook-Event", "The event's type."},
	{"X-Webhook-Attempt", "Which try it is, from 1."},
}

// describeEvents is what shops' servers are told of, by type.
func describeEvents() doc {
	parameters := make([]doc, len(eventHeaders))
	for i, h := range eventHeaders {
		parameters[i] = doc{"name": h.name, "in": "header", "description": h.doc, "schema": doc{"type": "string"}}
	}
	out := doc{}
	for _, t := range webhook.Types {
		out[string(t)] = doc{"post": doc{
			"operationId": "event_" + strings.ReplaceAll(string(t), ".", "_"), "summary": t.Title(), "description": t.Summary(),
			"tags": []string{"Events"}, "parameters": parameters,
			"requestBody": doc{"required": true, "content": doc{echo.MIMEApplicationJSON: doc{"schema": t.Schema()}}},
			"responses":   doc{"2XX": doc{"description": "Taken. Anything else is tried again."}},
		}}
	}
	return out
}
