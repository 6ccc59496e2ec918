package shop

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/webhook"
)

// ExpireLink ends a link now, or says that it had ended. Purchases under way may still be paid.
func (s *Service) ExpireLink(ctx context.Context, merchant id.Merchant, link id.Link, by audit.By) (Link, error) {
	var row queries.Link
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := queries.New()
		was, err := q.LinkForUpdate(ctx, tx, queries.LinkForUpdateParams{MerchantID: merchant, ID: link})
		if err != nil {
			return notFound(err)
		}
		now := s.now()
		if row, err = q.LinkExpire(ctx, tx, queries.LinkExpireParams{MerchantID: merchant, ID: link, Now: now}); err != nil {
			return err
		}
		if was.ExpiredAt == nil {
			f, err := formTx(ctx, tx, was)
			if err != nil {
				return err
			}
			if err := s.recordLinkTx(ctx, tx, merchant, by, "link.ended", link, f.seen(was.Livemode), nil); err != nil {
				return err
			}
		}
		if was.EndTold {
			return nil
		}
		return s.hooks.PublishTx(ctx, tx, now, endOf(row))
	})
	if err != nil {
		return Link{}, fmt.Errorf("expire link %s: %w", link, err)
	}
	return s.Link(ctx, merchant, row.ID)
}

// endMost is how many links one look ends at most.
const endMost = 500

// EndLinks tells, once of each, of links whose time is over. It has to come round.
func (s *Service) EndLinks(ctx context.Context) error {
	for {
		var rows []queries.Link
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
			now := s.now()
			if rows, err = queries.New().LinksEnd(ctx, tx, queries.LinksEndParams{Now: now, Most: endMost}); err != nil {
				return err
			}
			events := make([]webhook.Event, len(rows))
			for i, row := range rows {
				events[i] = endOf(row)
			}
			return s.hooks.PublishTx(ctx, tx, now, events...)
		})
		if err != nil {
			return fmt.Errorf("end links: %w", err)
		}
		if len(rows) < endMost {
			return nil
		}
	}
}

// endOf tells that a link can no longer be paid.
func endOf(r queries.Link) webhook.Event {
	at := r.ExpiredAt
	if at == nil || r.ExpiresAt != nil && r.ExpiresAt.Before(*at) {
		at = r.ExpiresAt
	}
	return webhook.Event{
		Merchant: r.MerchantID, Livemode: r.Livemode, Type: webhook.LinkExpired, ResourceType: webhook.ResourceLink, ResourceID: string(r.ID),
		Payload: webhook.LinkPayload{
			LinkID: r.ID, Token: r.Token, Title: r.Title, Amounts: webhook.NewAmounts(r.Price, "USDC"), Status: "expired",
			Reference: r.Reference, Metadata: r.Metadata, Network: r.Network, ExpiredAt: at.UTC(),
		},
	}
}
