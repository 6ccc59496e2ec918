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
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		was, f, err := s.endTx(ctx, tx, merchant, link)
		if err != nil || was.ExpiredAt != nil {
			return err
		}
		return s.recordLinkTx(ctx, tx, merchant, by, "link.ended", link, f.seen(was.Livemode), nil)
	})
	if err != nil {
		return Link{}, fmt.Errorf("expire link %s: %w", link, err)
	}
	return s.Link(ctx, merchant, link)
}

// DeleteLink ends a link and takes it out of every list, for ever. What was bought with it stays, and what
// is under way may still be paid; it leads nobody anywhere any more.
func (s *Service) DeleteLink(ctx context.Context, merchant id.Merchant, link id.Link, by audit.By) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		was, f, err := s.endTx(ctx, tx, merchant, link)
		if err != nil {
			return err
		}
		if err := queries.New().LinkDelete(ctx, tx, queries.LinkDeleteParams{MerchantID: merchant, ID: link, Now: s.now()}); err != nil {
			return err
		}
		return s.recordLinkTx(ctx, tx, merchant, by, "link.deleted", link, f.seen(was.Livemode), nil)
	})
	if err != nil {
		return fmt.Errorf("delete link %s: %w", link, err)
	}
	return nil
}

// endTx ends a link, tells of it unless that was done, and returns it as it was.
func (s *Service) endTx(ctx context.Context, tx pgx.Tx, merchant id.Merchant, link id.Link) (was queries.Link, f LinkForm, err error) {
	q, now := queries.New(), s.now()
	if was, err = q.LinkForUpdate(ctx, tx, queries.LinkForUpdateParams{MerchantID: merchant, ID: link}); err != nil {
		return was, f, notFound(err)
	}
	if f, err = formTx(ctx, tx, was); err != nil {
		return was, f, err
	}
	row, err := q.LinkExpire(ctx, tx, queries.LinkExpireParams{MerchantID: merchant, ID: link, Now: now})
	if err != nil || was.EndTold {
		return was, f, err
	}
	return was, f, s.hooks.PublishTx(ctx, tx, now, endOf(row))
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
