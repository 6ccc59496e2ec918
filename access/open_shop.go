package access

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
)

// mostShops is how many shops one person can open.
const mostShops = 20

// ErrTooManyShops is returned to somebody who owns as many shops as anybody may.
var ErrTooManyShops = errors.New("access: owns as many shops as one may")

// MayOpenShop tells whether a person may open a shop of his own: anybody where anybody may come in, elsewhere those who
// own one already.
func (g *Gate) MayOpenShop(ctx context.Context, person id.Person) (bool, error) {
	owned, err := g.owned(ctx, g.pool, person)
	return err == nil && (g.Open || owned > 0), err
}

func (g *Gate) owned(ctx context.Context, db queries.DBTX, person id.Person) (n int, err error) {
	shops, err := g.shops(ctx, db, person)
	for _, s := range shops {
		if s.Role == Owner {
			n++
		}
	}
	return n, err
}

// OpenShop opens a shop that a person owns, and makes his session one for it: its secret changes.
// Errors: [ErrSignupsClosed] for somebody who may not, [ErrPerson] for a name that is none, [ErrTooManyShops], [ErrDenied].
func (g *Gate) OpenShop(ctx context.Context, of Session, secret, name string, from Browser) (fresh string, err error) {
	if of.Device != "" {
		return "", ErrDenied
	}
	err = pgx.BeginFunc(ctx, g.pool, func(tx pgx.Tx) error {
		if _, err := queries.New().PersonLock(ctx, tx, of.Person); err != nil { // his shops are counted one by one
			return err
		}
		owned, err := g.owned(ctx, tx, of.Person)
		switch {
		case err != nil:
			return err
		case !g.Open && owned == 0:
			return ErrSignupsClosed
		case owned >= mostShops:
			return ErrTooManyShops
		}
		merchant, err := g.OpenShopTx(ctx, tx, name, from.by(of.Person, of.PersonName))
		if err != nil {
			return err
		}
		fresh, err = g.enterShopTx(ctx, tx, of.ID, secret, merchant)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("open a shop for %s: %w", of.Person, err)
	}
	return fresh, nil
}
