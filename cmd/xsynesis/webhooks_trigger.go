package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"xsynesis/id"
	"xsynesis/webhook"
)

// triggerCmd sends something to try a server with: webhook.test through the gateway, or any event straight to a server,
// with made-up ids, so that no shop's books hold what never happened.
type triggerCmd struct {
	Type         string `arg:"" optional:"" default:"webhook.test" help:"What to send. All but webhook.test need --forward-to."`
	Subscription string `placeholder:"ws_…" help:"Only to this webhook; else to every active one."`
	ForwardTo    string `name:"forward-to" placeholder:"URL" help:"Send a made-up event there, signed with --secret, past the gateway."`
	Secret       string `env:"XSYNESIS_WEBHOOK_SECRET" placeholder:"whsec_…" help:"With --forward-to: what signs; else one is drawn and printed."`
	gateway
}

// Validate is called before Run; what it refuses is a mistake in the command line.
func (t *triggerCmd) Validate() error {
	kind := webhook.Type(t.Type)
	switch {
	case !kind.Known():
		return fmt.Errorf("there is no event %q", t.Type)
	case t.ForwardTo != "" && !isAddress(t.ForwardTo):
		return fmt.Errorf("--forward-to: %q is not an address such as http://localhost:3000/hooks", t.ForwardTo)
	case t.ForwardTo != "":
		return nil
	case kind != webhook.WebhookTest:
		return fmt.Errorf("%s is sent by the gateway only when it happens; --forward-to URL sends a made-up one", t.Type)
	default:
		return t.gateway.Validate()
	}
}

// Run sends the event, and prints what became of it.
func (t *triggerCmd) Run(ctx context.Context, stdout io.Writer) error {
	if t.ForwardTo != "" {
		return t.forward(ctx, stdout)
	}
	shop := t.client()
	to, err := shop.subscriptions(ctx, t.Subscription)
	if err != nil {
		return err
	}
	if len(to) == 0 {
		return errors.New("no active webhook is registered")
	}
	for _, s := range to {
		delivery, err := shop.test(ctx, s.ID)
		if err != nil {
			return fmt.Errorf("send %s to %s: %w", t.Type, s.ID, err)
		}
		print(stdout, "%s %s to %s\n", delivery, t.Type, s.URL)
	}
	return nil
}

// forward sends a made-up event. It fails if the server does not take it.
func (t *triggerCmd) forward(ctx context.Context, stdout io.Writer) error {
	if t.Secret == "" {
		t.Secret = webhook.NewSecret()
		print(stdout, "secret %s\n", t.Secret)
	}
	e, err := madeUp(webhook.Type(t.Type), time.Now())
	if err != nil {
		return err
	}
	f := newForwarder(t.ForwardTo, t.Secret)
	status, err := f.post(ctx, e, time.Now())
	if err != nil {
		return fmt.Errorf("send %s to %s: %w", t.Type, t.ForwardTo, err)
	}
	print(stdout, "%s %s → %d %s\n", e.ID, t.Type, status, http.StatusText(status))
	if status/100 != 2 {
		return fmt.Errorf("%s answered %d", t.ForwardTo, status)
	}
	return nil
}

// madeUp is an event that never happened, with the payload that the schema gives as its example.
func madeUp(t webhook.Type, now time.Time) (shopEvent, error) {
	var ids struct {
		Attempt      string `json:"payment_attempt_id"`
		Settlement   string `json:"settlement_id"`
		Link         string `json:"link_id"`
		Reservation  string `json:"reservation_id"`
		Item         string `json:"item_id"`
		Notice       string `json:"notice_id"`
		Subscription string `json:"webhook_subscription_id"`
		Payout       string `json:"payout_id"`
		Refund       string `json:"refund_id"`
	}
	if err := json.Unmarshal(t.Example(), &ids); err != nil {
		return shopEvent{}, fmt.Errorf("read the example of %s: %w", t, err)
	}
	about := map[string]string{
		webhook.ResourceAttempt: ids.Attempt, webhook.ResourceSettlement: ids.Settlement, webhook.ResourceLink: ids.Link,
		webhook.ResourceReservation: ids.Reservation, webhook.ResourceItem: ids.Item, webhook.ResourceNotice: ids.Notice,
		webhook.ResourceSubscription: ids.Subscription, webhook.ResourcePayout: ids.Payout, webhook.ResourceRefund: ids.Refund,
	}[t.ResourceType()]
	e := shopEvent{ID: string(id.New[id.Event](now)), Type: string(t), ResourceID: about}
	var err error
	e.body, err = json.Marshal(struct {
		ID           string          `json:"id"`
		Type         webhook.Type    `json:"event_type"`
		Seller       id.Merchant     `json:"seller_id"`
		Livemode     bool            `json:"livemode"`
		ResourceType string          `json:"resource_type"`
		ResourceID   string          `json:"resource_id"`
		Sequence     int             `json:"sequence"`
		Payload      json.RawMessage `json:"payload"`
		Timestamp    time.Time       `json:"timestamp"`
	}{e.ID, t, id.New[id.Merchant](now), false, t.ResourceType(), about, 1, t.Example(), now.UTC().Truncate(time.Second)})
	return e, err
}
