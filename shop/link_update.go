package shop

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// UpdateLink changes what future buyers see; purchases under way keep their quote. The form that is changed is the link
// as it is: two who change different things of it at the same time do not undo each other's change.
// Errors: [*FieldError], [ErrNotFound], and that of change.
func (s *Service) UpdateLink(ctx context.Context, merchant id.Merchant, link id.Link, change func(*LinkForm) error, by audit.By) (Link, error) {
	var row queries.Link
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		was, err := queries.New().LinkForUpdate(ctx, tx, queries.LinkForUpdateParams{MerchantID: merchant, ID: link})
		if err != nil {
			return notFound(err)
		}
		f, err := formTx(ctx, tx, was)
		if err != nil {
			return err
		}
		before := f.seen(was.Livemode)
		if err := change(&f); err != nil {
			return err
		}
		if err := errors.Join(s.fillTitle(ctx, merchant, was.Livemode, &f), s.fillEndpoint(ctx, merchant, was.Livemode, &f)); err != nil {
			return err
		}
		if err := f.check(s.now()); err != nil {
			return err
		}
		if err := s.ownGifts(ctx, tx, merchant, f.After); err != nil {
			return err
		}
		if row, err = s.updateTx(ctx, tx, was, f); err != nil {
			return err
		}
		is, err := formTx(ctx, tx, row) // what is written, and not what was asked for: a form that says the same changes nothing
		if err != nil {
			return err
		}
		return s.recordLinkTx(ctx, tx, merchant, by, "link.changed", link, before, is.seen(row.Livemode))
	})
	if err != nil {
		return Link{}, fmt.Errorf("update link %s: %w", link, err)
	}
	return s.Link(ctx, merchant, row.ID)
}

func (s *Service) updateTx(ctx context.Context, tx pgx.Tx, was queries.Link, f LinkForm) (queries.Link, error) {
	q, now := queries.New(), s.now()
	taken, err := paymentsTakenTx(ctx, tx, was, f.MaxPayments)
	if err != nil {
		return queries.Link{}, err
	}
	sells, price, presets := f.offered()
	if was.Price != price && was.Sells == string(SellsAmount) {
		if err := q.LinkPriceInsert(ctx, tx, queries.LinkPriceInsertParams{LinkID: was.ID, Price: was.Price, Until: now.Add(OfferTime)}); err != nil {
			return queries.Link{}, err
		}
	}
	if f.Items != nil {
		if err := setLinesTx(ctx, tx, was.ID, f.Items); err != nil {
			return queries.Link{}, err
		}
	}
	return q.LinkUpdate(ctx, tx, queries.LinkUpdateParams{
		MerchantID: was.MerchantID, ID: was.ID, Title: f.Title, Description: f.Description, Sells: string(sells), Price: price, Presets: presets, StartsAt: f.StartsAt, ExpiresAt: f.ExpiresAt,
		PausedAt: f.pausedAt(was.PausedAt, now), MaxPayments: limit(f.MaxPayments), PaymentsTaken: taken, SuccessUrl: f.SuccessURL,
		Message: f.After.Message, FileID: optional(f.After.File), KeyItemID: optional(f.After.KeyItem), LeadsTo: f.LeadsTo.URL, LeadsAll: f.LeadsTo.All,
		Asks: f.Asks.Words(), PauseText: f.PauseText, EndpointID: optional(f.Endpoint), Reference: f.Reference, Metadata: f.Metadata, UpdatedAt: now,
	})
}

// formTx is a link as its seller would write it anew.
func formTx(ctx context.Context, tx pgx.Tx, r queries.Link) (LinkForm, error) {
	f := LinkForm{
		Title: r.Title, Description: r.Description, Price: r.Price, Network: r.Network, StartsAt: r.StartsAt, ExpiresAt: r.ExpiresAt, Paused: r.PausedAt != nil, PauseText: r.PauseText, Asks: asksOf(r.Asks),
		SuccessURL: r.SuccessUrl, After: afterOf(r), LeadsTo: LeadsTo{URL: r.LeadsTo, All: r.LeadsAll}, Reference: r.Reference, Metadata: r.Metadata,
	}
	if r.MaxPayments != nil {
		f.MaxPayments = int(*r.MaxPayments)
	}
	switch Sells(r.Sells) {
	case SellsAmount:
	case SellsEndpoint:
		f.Endpoint = *r.EndpointID
	case SellsOpen:
		f.Open, f.Price = &OpenAmount{Min: r.Price}, 0
		for _, p := range r.Presets {
			f.Open.Presets = append(f.Open.Presets, money.USDC(p))
		}
	case SellsItems:
		rows, err := queries.New().LinkLines(ctx, tx, r.ID)
		if err != nil {
			return f, err
		}
		for _, row := range rows {
			f.Items = append(f.Items, Want{Item: row.ItemID, Qty: int(row.Qty)})
		}
	}
	return f, nil
}

// paymentsTakenTx counts what a new limit has to begin with; without a limit nothing is counted.
func paymentsTakenTx(ctx context.Context, tx pgx.Tx, was queries.Link, limit int) (int32, error) {
	if limit == 0 {
		return 0, nil
	}
	q, taken := queries.New(), was.PaymentsTaken
	if was.MaxPayments == nil {
		if err := q.LinkHold(ctx, tx, &was.ID); err != nil {
			return 0, err
		}
		n, err := q.LinkPaymentsTaken(ctx, tx, &was.ID)
		if err != nil {
			return 0, err
		}
		taken = n
	}
	if int(taken) > limit {
		return 0, &FieldError{"max_payments", fmt.Sprintf("%d payments are already made or under way.", taken)}
	}
	return taken, nil
}
