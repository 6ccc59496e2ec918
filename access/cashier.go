package access

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
)

// AddCashier takes on somebody who works at the till alone: a name and a PIN, and no other way in. Errors: [ErrPerson],
// [ErrPINForm], [ErrRole], [ErrDenied].
func (s *Service) AddCashier(ctx context.Context, of Session, from Browser, name, pin string) (person id.Person, err error) {
	if name, err = cleanName(name); err != nil {
		return "", err
	}
	if pin, err = cleanPIN(pin); err != nil {
		return "", err
	}
	sealed, now := sealPIN(pin), s.now()
	person = id.New[id.Person](now)
	return person, s.asBoss(ctx, of, func(tx pgx.Tx, boss Role) error {
		if err := mayGive(of, boss, Cashier); err != nil {
			return err
		}
		q, inviter := queries.New(), string(of.Person)
		if err := q.PersonInsert(ctx, tx, queries.PersonInsertParams{ID: person, Name: name, CreatedAt: now}); err != nil {
			return fmt.Errorf("make a cashier of %s: %w", of.Merchant, err)
		}
		_, err := q.StaffWelcome(ctx, tx, queries.StaffWelcomeParams{
			MerchantID: of.Merchant, PersonID: person, Role: string(Cashier), InvitedBy: &inviter, Pin: sealed, Now: now,
		})
		if err != nil {
			return fmt.Errorf("make a cashier of %s: %w", of.Merchant, err)
		}
		return audit.RecordTx(ctx, tx, now, audit.Row{
			By: from.by(of.Person, of.PersonName), Merchant: of.Merchant, Action: "cashier.added", ResourceType: "member", ResourceID: string(person),
			After: memberView{Name: name, Role: Cashier, Status: Active, PIN: true},
		})
	})
}

// SetPIN gives somebody a new PIN, or takes it away with an empty one, and locks the tills that he unlocked. Everybody
// may set his own. Errors: [ErrPINForm], [ErrRole] for somebody who may not use the till or stands too high, [ErrNotFound].
func (s *Service) SetPIN(ctx context.Context, of Session, from Browser, person id.Person, pin string) (err error) {
	sealed := ""
	if pin != "" {
		if pin, err = cleanPIN(pin); err != nil {
			return err
		}
		sealed = sealPIN(pin)
	}
	return s.asBoss(ctx, of, func(tx pgx.Tx, boss Role) error {
		was, err := memberTx(ctx, tx, of.Merchant, person)
		if err != nil {
			return err
		}
		own := person == of.Person && boss.May(UseTill)
		if !own && !boss.MayGrant(Role(was.Role)) || !Role(was.Role).May(UseTill) {
			return ErrRole
		}
		q := queries.New()
		err = q.StaffSetPIN(ctx, tx, queries.StaffSetPINParams{MerchantID: of.Merchant, PersonID: person, Pin: sealed, Now: s.now()})
		if err != nil {
			return fmt.Errorf("set the PIN of %s: %w", person, err)
		}
		if err := q.TillLockOf(ctx, tx, queries.TillLockOfParams{MerchantID: string(of.Merchant), PersonID: person}); err != nil {
			return fmt.Errorf("lock the tills of %s: %w", person, err)
		}
		after := viewOf(was)
		after.PIN = sealed != ""
		return audit.RecordTx(ctx, tx, s.now(), audit.Row{
			By: from.by(of.Person, of.PersonName), Merchant: of.Merchant, Action: "pin.set", ResourceType: "member", ResourceID: string(person),
			Before: viewOf(was), After: after,
		})
	})
}
