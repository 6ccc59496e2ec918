package handlers

import (
	"reflect"
	"strings"
)

// meaning says in one sentence what a member of a request or an answer is. The same name means the same everywhere;
// where a type gives it a meaning of its own, that stands under Type.name.
func meaning(t reflect.Type, f reflect.StructField, name string) string {
	for _, of := range []reflect.Type{t, declaring(t, f)} {
		if text, ok := meanings[typeName(of)+"."+name]; ok {
			return text
		}
	}
	return meanings[name]
}

// declaring is the struct within t that a member comes from.
func declaring(t reflect.Type, f reflect.StructField) reflect.Type {
	for _, i := range f.Index[:len(f.Index)-1] {
		t = t.Field(i).Type
	}
	return t
}

// typeName is what a type is called in the document.
func typeName(t reflect.Type) string {
	name := strings.TrimSuffix(t.Name(), "JSON")
	if name == "" {
		return ""
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

var meanings = map[string]string{ //nolint:gosec // it tells of secrets and holds none
	// rows
	"id":          "The row's id.",
	"created_at":  "When the row was made.",
	"updated_at":  "When it last changed.",
	"livemode":    "Whether real money is meant.",
	"status":      "Where it stands.",
	"simulated":   "Whether the payment was simulated; its currency is then SIM.",
	"reference":   "The shop's own number for it, handed back as it came.",
	"metadata":    "A JSON object of the shop's own, at most 4096 bytes, handed back as it came.",
	"data":        "The rows of this page.",
	"next_cursor": "Sent back as `cursor`, it gets the next page; null on the last one.",

	// signing in
	"Nonce.nonce":             "Stands in the message. It counts once.",
	"NonceRequest.address":    "The wallet's address; with it the message is made here.",
	"NonceRequest.chain_id":   "The wallet's chain. Another one is named where this gateway does not know it.",
	"Nonce.expires_at":        "Until when the message may be signed.",
	"Nonce.message":           "The message to sign, if the address was given.",
	"VerifyRequest.message":   "The message of EIP-4361, as it was signed.",
	"VerifyRequest.signature": "The wallet's signature in hex: 65 bytes, or a contract's own.",
	"PrivyRequest.token":      "An access token of Privy.",
	"invite":                  "The token of an invitation, for somebody who is not known yet.",
	"NewcomerRequest.name":    "What somebody new is called.",
	"NewcomerRequest.shop":    "What the first shop is called; only where nobody is known at all.",
	"person":                  "Who signed in.",
	"shops":                   "Where the person has a role.",
	"Person.name":             "What the person is called.",
	"Member.seller_id":        "The shop.",
	"role":                    "The person's role in the shop.",
	"location":                "The page that comes next for a person.",
	"signed_out":              "True: whoever had a session has none now.",

	// money
	"amount":       "Base units of the currency, as a string; USDC has 6 decimals.",
	"amount_cents": "The amount in whole cents, rounded down.",
	"price":        "The amount as a decimal, such as `\"12.50\"`.",
	"currency":     "`USDC`, or `SIM` where the payment was simulated.",
	"network":      "The network, as CAIP-2 names it.",
	"asset":        "The address of the token's contract.",
	"pay_to":       "The address that is paid.",
	"payer":        "The address that paid.",
	"transaction":  "The hash of the transaction.",
	"explorer_url": "The transaction in a public explorer.",
	"nonce":        "The nonce of the authorization, as the token logs it.",

	// what is offered
	"token":        "The public part of the link's address.",
	"url":          "The page's address.",
	"qr_url":       "The address as a QR code, PNG.",
	"title":        "What is sold.",
	"description":  "More about it, shown to the buyer.",
	"expires_at":   "When it ends; null for never.",
	"max_payments": "How many times it may be paid; null for any number.",
	"payments":     "How many times it was paid.",
	"last_paid_at": "When it was last paid.",
	"success_url":  "Where the buyer's browser goes after paying.",
	"cancel_url":   "Where the buyer's browser goes if he gives up.",
	"shop":         "Who sells.",
	"name":         "The shop's name.",
	"domain":       "The shop's own domain.",
	"data_url":     "The picture as a data URL.",

	// purchases
	"link_token":         "The token of the link that is bought from.",
	"payment_attempt":    "The purchase.",
	"payment_attempt_id": "The purchase.",
	"pay_url":            "The purchase's page, for ever.",
	"receipt_url":        "The receipt's page, for ever, with the buyer's token.",
	"lines":              "What is bought.",
	"item_id":            "The item of the line; of a link without an item, the link.",
	"qty":                "How many.",
	"unit_amount":        "Base units for one.",
	"amount_received":    "Base units that arrived.",
	"reservations":       "The stock that is held for the purchase.",
	"settled_at":         "When the money had moved.",
	"receipt":            "The receipt, for the buyer and the shop.",
	"mode":               "`direct` records the payment at once, `worker` leaves that to the worker.",
	"cart":               "What was bought, as its hash commits to it.",
	"cart_salt":          "32 random bytes that keep the cart from being guessed from its hash.",
	"cart_hash":          "keccak256 of the cart's canonical JSON.",
	"cart_bound":         "Whether the payment's nonce commits to the cart.",
	"signature":          "What the wallet signed, 65 bytes in hex, or a contract's own.",
	"authorization":      "The message that was signed.",

	// x402
	"x402Version":       "The version of the protocol that this part speaks.",
	"accepts":           "What would be taken, as version 1 of x402 says it.",
	"payment_required":  "What would be taken, as version 2 of x402 says it.",
	"typed_data":        "What a wallet signs (EIP-712).",
	"scheme":            "`exact`.",
	"maxAmountRequired": "Base units.",
	"maxTimeoutSeconds": "Seconds that the offer stands.",
	"payTo":             "The address that is paid.",
	"mimeType":          "The media type of what is bought.",
	"resource":          "What is bought.",
	"extra":             "Name and version of the token's EIP-712 domain.",
	"version":           "Version of the token's EIP-712 domain.",
	"error":             "Why the request was refused.",
	"reason":            "Why, in the word of the protocol.",
	"from":              "The address that pays.",
	"to":                "The address that is paid.",
	"value":             "Base units.",
	"validAfter":        "Unix time from which the payment may be carried out.",
	"validBefore":       "Unix time until which it may.",
	"types":             "The types of the message.",
	"primaryType":       "The type that is signed.",
	"message":           "The message that is signed.",
	"chainId":           "The chain's number.",
	"verifyingContract": "The token's contract.",
	"type":              "The type.",

	// how the money moved
	"facilitator":  "Who carried the payment out.",
	"age_seconds":  "Seconds since it was made.",
	"last_error":   "What went wrong last; empty for nothing.",
	"confirmed_at": "When the chain had confirmed it.",

	// sales
	"item_title":        "What was sold, as it was called then.",
	"reservation_id":    "The stock that was held for it; empty for none.",
	"settlement_id":     "How the money moved; null where nothing had to be paid.",
	"link_id":           "The link that was paid.",
	"purchaser_address": "The address that paid.",
	"channel":           "Where it was sold.",
	"late":              "Whether the money came after the purchase had ended.",
	"available":         "Base units that arrived.",
	"pending":           "Base units that are on their way.",
	"received":          "Base units of all sales ever.",

	// webhooks
	"webhook_subscription_id": "The webhook.",
	"events":                  "The events that it is told of; empty for all.",
	"active":                  "Whether it is told of new events.",
	"secret":                  "What signs, shown this once.",
	"disabled_reason":         "Why it was disabled, in one sentence; empty if it was not.",
	"rotating_until":          "Until when the former secret signs too; null outside a rotation.",
	"last_delivered_at":       "When its server last took an event; null for never.",
	"failing_since":           "The first failure since that; null for none.",
	"failures":                "How many tries failed since that.",
	"event_type":              "What happened.",
	"event_id":                "The event, the same however often it is sent.",
	"event":                   "The event, to the letter as it is signed and sent.",
	"resource_type":           "The kind of the object that it tells of.",
	"resource_id":             "The object that it tells of.",
	"sequence":                "Counts the events of one object from 1.",
	"summary":                 "When it is sent.",
	"schema_url":              "The JSON Schema of its body.",
	"example":                 "A payload as it may come.",
	"delivery_id":             "The delivery.",
	"tries":                   "How many tries count.",
	"next_try_at":             "When it is tried next; null for never again.",
	"last_status":             "What the server answered last; 0 for no answer.",
	"last_error_class":        "What kind of failure the last try was; empty for none.",
	"last_latency_ms":         "How long the last try took.",
	"last_try_at":             "When the last try ended; null where none did.",
	"replay_of":               "The delivery that it repeats; null for an original one.",
	"replay_id":               "The replay of many that made it; null for none.",
	"ended_at":                "When it ended; null while it goes on.",
	"log":                     "Every try, in the order in which they began.",
	"number":                  "Counts all tries.",
	"attempt":                 "Counts the tries that count, as the server was told.",
	"state":                   "`started`, `succeeded`, `failed`, or `interrupted` where no process finished it.",
	"request_headers":         "What was sent, signatures left out.",
	"started_at":              "When it began.",
	"response_status":         "What the server answered; 0 for no answer.",
	"error_class":             "What kind of failure it was; empty for none.",
	"error_message":           "The failure in one sentence; empty for none.",
	"connected_ms":            "How long it took to connect.",
	"latency_ms":              "How long it took in all.",
	"tls":                     "The version of TLS; empty without.",
	"response_headers":        "What the server answered.",
	"response_body":           "The first 4 KiB of the answer; what is no text stands as U+FFFD.",
	"response_bytes":          "How much of the answer was read.",
	"failed_since":            "All that failed since this time; null for one delivery.",
	"rate":                    "How many are sent in a second.",
	"dry_run":                 "Whether they are only counted.",
	"count":                   "How many there are.",
	"done":                    "How many were sent again so far.",
	"delivered":               "How many of those were accepted.",
	"failed":                  "How many of those failed for good.",

	// meanings of their own
	"WebhookUpdate.url":            "Where events are posted.",
	"WebhookSecret.url":            "Where events are posted.",
	"Delivery.url":                 "Where the webhook points now.",
	"DeliveryLog.url":              "Where the webhook points now.",
	"Try.url":                      "Where it was sent.",
	"WebhookUpdate.description":    "Tells webhooks of one server apart.",
	"WebhookSecret.description":    "Tells webhooks of one server apart.",
	"Delivery.reason":              "Why it failed or was cancelled, in one sentence.",
	"DeliveryLog.reason":           "Why it failed or was cancelled, in one sentence.",
	"Replay.id":                    "The replay; null where one delivery was repeated, or all were only counted.",
	"Replay.delivery_id":           "The new delivery; null where many are sent again.",
	"WebhookRowRequest.id":         "The webhook that is meant.",
	"RedeliverRequest.id":          "The delivery to repeat.",
	"RedeliverRequest.delivery_id": "The same.",
	"WebhookUpdate.id":             "The webhook that is meant.",
	"Webhook.url":                  "Where events are sent.",
	"WebhookRequest.url":           "Where events are sent: https on port 443, to a public server.",
	"Webhook.description":          "The shop's own words for it.",
	"WebhookRequest.description":   "Words of your own, at most 200 characters.",
	"WebhookRequest.active":        "False pauses it, true takes it up again; true if not given.",
	"WebhookRequest.events":        "The events to be told of; empty, or not given, for all.",
	"Webhook.status":               "`active`, `paused`, `disabled`; `removed` in the answer to its end.",
	"EventType.summary":            "When it is sent.",
	"ErrorDetail.code":             "What went wrong, for programs.",
	"ErrorDetail.message":          "What went wrong, in one sentence for a person.",
	"ErrorDetail.field":            "The field of the request that is wrong.",
	"ErrorDetail.request_id":       "The request's number, for questions.",
	"Refusal.message":              "Why, in one sentence for a person.",
	"Domain.name":                  "Name of the token's EIP-712 domain.",
	"TypedData.domain":             "The token's EIP-712 domain.",
	"RowRequest.id":                "The row that is meant.",
}
