package webhook

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
)

// subscriptionSeen is what the log of what was done says of a subscription: all but its secrets.
type subscriptionSeen struct {
	Livemode    bool     `json:"livemode"`
	URL         string   `json:"url"`
	Description string   `json:"description,omitempty"`
	Events      []string `json:"events"` // empty: all
	Status      string   `json:"status"`
}

func seen(r queries.Subscription) subscriptionSeen {
	return subscriptionSeen{r.Livemode, r.Url, r.Description, r.Events, r.Status}
}

// rotationSeen is what is said of its secrets.
type rotationSeen struct {
	FormerSignsUntil *time.Time `json:"former_secret_signs_until"`
}

// noteTx notes what somebody did to a subscription.
func (s *Service) noteTx(ctx context.Context, tx pgx.Tx, now time.Time, by audit.By, of queries.Subscription, action string, before, after any) error {
	return audit.RecordTx(ctx, tx, now, audit.Row{
		By: by, Merchant: of.MerchantID, Action: action, ResourceType: string(ResourceSubscription), ResourceID: string(of.ID), Before: before, After: after,
	})
}

// replaySeen is what is said of deliveries that were asked for again.
type replaySeen struct {
	Livemode     bool            `json:"livemode"`
	Subscription id.Subscription `json:"webhook_subscription_id,omitempty"` // empty: all
	Since        *time.Time      `json:"since,omitempty"`
	Count        int             `json:"count"`
}
