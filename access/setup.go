package access

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
)

// Founding is what a new shop begins with: its name, and the person who owns it.
type Founding struct {
	Slug   string // in the shop's public address
	Name   string
	Domain string
	Owner  string // the person's name
	Wallet string // signs the owner in; empty for none
}

// Found opens a shop with its owner, or returns the one that has this slug.
func (s *Service) Found(ctx context.Context, f Founding) (id.Merchant, error) {
	q, now := queries.New(), s.now()
	was, err := q.MerchantBySlug(ctx, s.pool, f.Slug)
	if err == nil {
		return was.ID, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("shop %s: %w", f.Slug, err)
	}
	merchant, person := id.New[id.Merchant](now), id.New[id.Person](now)
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := q.MerchantInsert(ctx, tx, queries.MerchantInsertParams{ID: merchant, Slug: f.Slug, Name: f.Name, Domain: f.Domain, CreatedAt: now}); err != nil {
			return err
		}
		if err := q.PersonInsert(ctx, tx, queries.PersonInsertParams{ID: person, Name: f.Owner, CreatedAt: now}); err != nil {
			return err
		}
		if f.Wallet != "" {
			if _, err := q.WalletInsert(ctx, tx, queries.WalletInsertParams{Address: strings.ToLower(f.Wallet), PersonID: person, CreatedAt: now}); err != nil {
				return err
			}
		}
		return q.MemberInsert(ctx, tx, queries.MemberInsertParams{MerchantID: merchant, PersonID: person, Role: "owner", CreatedAt: now})
	})
	if err != nil {
		return "", fmt.Errorf("found %s: %w", f.Slug, err)
	}
	return merchant, nil
}
