package shop

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
)

// linkSeen is what the log of what was done says of a link.
type linkSeen struct {
	Livemode    bool            `json:"livemode"`
	Title       string          `json:"title"`
	Description string          `json:"description,omitempty"`
	Price       string          `json:"price"` // USDC
	Network     string          `json:"network"`
	StartsAt    *time.Time      `json:"starts_at,omitempty"`
	ExpiresAt   *time.Time      `json:"expires_at,omitempty"`
	Paused      bool            `json:"paused,omitempty"`
	PauseText   string          `json:"pause_text,omitempty"`
	MaxPayments int             `json:"max_payments,omitempty"`
	SuccessURL  string          `json:"success_url,omitempty"`
	After       After           `json:"after_payment,omitzero"`
	LeadsTo     LeadsTo         `json:"leads_to,omitzero"`
	Asks        []string        `json:"asks,omitempty"`
	Items       []Want          `json:"items,omitempty"`
	Open        *OpenAmount     `json:"open_amount,omitempty"`
	Endpoint    id.Endpoint     `json:"endpoint,omitempty"`
	Reference   string          `json:"reference,omitempty"`
	Metadata    json.RawMessage `json:"metadata,omitempty"`
}

func (f LinkForm) seen(livemode bool) linkSeen {
	return linkSeen{
		Livemode: livemode, Title: f.Title, Description: f.Description, Price: f.Price.String(), Network: f.Network, StartsAt: f.StartsAt,
		ExpiresAt: f.ExpiresAt, Paused: f.Paused, MaxPayments: f.MaxPayments, SuccessURL: f.SuccessURL, After: f.After, LeadsTo: f.LeadsTo,
		PauseText: f.PauseText, Asks: f.Asks.Words(), Items: f.Items, Open: f.Open, Endpoint: f.Endpoint, Reference: f.Reference, Metadata: f.Metadata,
	}
}

func (s *Service) recordLinkTx(ctx context.Context, tx pgx.Tx, merchant id.Merchant, by audit.By, action string, link id.Link, before, after any) error {
	return audit.RecordTx(ctx, tx, s.now(), audit.Row{
		By: by, Merchant: merchant, Action: action, ResourceType: "link", ResourceID: string(link), Before: before, After: after,
	})
}
