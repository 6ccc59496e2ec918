package access

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
)

// InviteTime is how long somebody can be asked into a shop before he has to be asked again.
const InviteTime = 24 * time.Hour

// ErrInvite is returned for an invitation that was used, revoked, or is too old.
var ErrInvite = errors.New("access: not an invitation any more")

// Invite asks somebody into a shop. It counts once.
type Invite struct {
	ID       id.Invite
	Merchant id.Merchant
	Shop     string
	Role     Role
	Name     string // whom it is meant for; a note of whoever asked
	Inviter  string
	Since    time.Time
	Expires  time.Time
}

type inviteView struct {
	Role    Role      `json:"role"`
	Name    string    `json:"name,omitempty"`
	Expires time.Time `json:"expires_at"`
}

// Invite asks somebody into a shop, in a role. Whoever opens the link with the token may accept it; only the token's hash
// is kept. Errors: [ErrRole], [ErrPerson] for a name that is none, [ErrStepUp] for roles that weigh much, [ErrDenied].
func (s *Service) Invite(ctx context.Context, of Session, from Browser, role Role, name string) (asked Invite, token string, err error) {
	if name, err = cleanName(name); err != nil {
		return asked, "", err
	}
	token, now := draw(), s.now()
	asked = Invite{
		ID: id.New[id.Invite](now), Merchant: of.Merchant, Shop: of.Shop, Role: role, Name: name, Inviter: of.PersonName, Since: now, Expires: now.Add(InviteTime),
	}
	err = s.asBoss(ctx, of, func(tx pgx.Tx, boss Role) error {
		if err := mayGive(of, boss, role); err != nil {
			return err
		}
		err := queries.New().InviteInsert(ctx, tx, queries.InviteInsertParams{
			ID: asked.ID, MerchantID: of.Merchant, Role: string(role), Name: name, Hash: hash(token), CreatedBy: of.Person,
			CreatedAt: now, ExpiresAt: asked.Expires,
		})
		if err != nil {
			return fmt.Errorf("invite into %s: %w", of.Merchant, err)
		}
		return audit.RecordTx(ctx, tx, now, audit.Row{
			By: from.by(of.Person, of.PersonName), Merchant: of.Merchant, Action: "invite.created", ResourceType: "invite", ResourceID: string(asked.ID),
			After: inviteView{role, name, asked.Expires},
		})
	})
	return asked, token, err
}

// Invites lists those of a shop that can still be accepted, the newest first.
func (s *Service) Invites(ctx context.Context, merchant id.Merchant) ([]Invite, error) {
	rows, err := queries.New().InviteList(ctx, s.pool, queries.InviteListParams{MerchantID: merchant, Now: s.now()})
	if err != nil {
		return nil, fmt.Errorf("invites of %s: %w", merchant, err)
	}
	out := make([]Invite, len(rows))
	for i, r := range rows {
		out[i] = Invite{ID: r.ID, Merchant: merchant, Role: Role(r.Role), Name: r.Name, Inviter: r.Inviter, Since: r.CreatedAt, Expires: r.ExpiresAt}
	}
	return out, nil
}

// RevokeInvite ends an invitation that nobody accepted. Errors: [ErrNotFound], [ErrRole], [ErrDenied].
func (s *Service) RevokeInvite(ctx context.Context, of Session, from Browser, invite id.Invite) error {
	return s.asBoss(ctx, of, func(tx pgx.Tx, boss Role) error {
		q, now := queries.New(), s.now()
		was, err := q.InviteForUpdate(ctx, tx, queries.InviteForUpdateParams{ID: invite, MerchantID: of.Merchant})
		switch {
		case errors.Is(err, pgx.ErrNoRows), err == nil && was.UsedAt != nil:
			return ErrNotFound
		case err != nil:
			return fmt.Errorf("invite %s: %w", invite, err)
		case was.RevokedAt != nil:
			return nil
		case !boss.MayGrant(Role(was.Role)):
			return ErrRole
		}
		if err := q.InviteRevoke(ctx, tx, queries.InviteRevokeParams{ID: invite, Now: now}); err != nil {
			return fmt.Errorf("revoke %s: %w", invite, err)
		}
		return audit.RecordTx(ctx, tx, now, audit.Row{
			By: from.by(of.Person, of.PersonName), Merchant: of.Merchant, Action: "invite.revoked", ResourceType: "invite", ResourceID: string(invite),
			Before: inviteView{Role(was.Role), was.Name, was.ExpiresAt},
		})
	})
}

// Invited returns what a token asks somebody into, or [ErrInvite] if it cannot be accepted any more.
// Errors: [ErrNotFound] for a token that nobody was given.
func (s *Service) Invited(ctx context.Context, token string) (Invite, error) {
	r, err := s.inviteOf(ctx, s.pool, token)
	if err != nil {
		return Invite{}, err
	}
	i := Invite{
		ID: r.ID, Merchant: r.MerchantID, Shop: r.Shop, Role: Role(r.Role), Name: r.Name, Inviter: r.Inviter, Since: r.CreatedAt, Expires: r.ExpiresAt,
	}
	if r.UsedAt != nil || r.RevokedAt != nil || !r.ExpiresAt.After(s.now()) {
		return i, ErrInvite
	}
	return i, nil
}

func (s *Service) inviteOf(ctx context.Context, db queries.DBTX, token string) (queries.InviteByHashRow, error) {
	r, err := queries.New().InviteByHash(ctx, db, hash(token))
	if errors.Is(err, pgx.ErrNoRows) {
		return r, ErrNotFound
	}
	if err != nil {
		return r, fmt.Errorf("look for an invitation: %w", err)
	}
	return r, nil
}

// Accept makes a person one of the shop that a token asks him into, and returns that shop. However many accept at once,
// one of them is in. Errors: [ErrNotFound], [ErrInvite], [ErrMember] for somebody who has a part in the shop already: the
// invitation then stays good for another.
func (s *Service) Accept(ctx context.Context, of Session, from Browser, token string) (id.Merchant, error) {
	if of.Device != "" {
		return "", ErrDenied
	}
	asked, err := s.inviteOf(ctx, s.pool, token)
	if err != nil {
		return "", err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.acceptTx(ctx, tx, of, from, asked) })
	return asked.MerchantID, err
}

func (s *Service) acceptTx(ctx context.Context, tx pgx.Tx, of Session, from Browser, asked queries.InviteByHashRow) error {
	q, now := queries.New(), s.now()
	if _, err := q.MerchantLock(ctx, tx, asked.MerchantID); err != nil {
		return fmt.Errorf("lock the staff of %s: %w", asked.MerchantID, err)
	}
	person := string(of.Person)
	n, err := q.InviteUse(ctx, tx, queries.InviteUseParams{ID: asked.ID, PersonID: &person, Now: now})
	if err != nil {
		return fmt.Errorf("accept %s: %w", asked.ID, err)
	}
	if n == 0 {
		return ErrInvite
	}
	inviter := string(asked.CreatedBy)
	n, err = q.StaffWelcome(ctx, tx, queries.StaffWelcomeParams{
		MerchantID: asked.MerchantID, PersonID: of.Person, Role: asked.Role, InvitedBy: &inviter, Now: now,
	})
	if err != nil {
		return fmt.Errorf("welcome %s to %s: %w", of.Person, asked.MerchantID, err)
	}
	if n == 0 {
		return ErrMember
	}
	return audit.RecordTx(ctx, tx, now, audit.Row{
		By: from.by(of.Person, of.PersonName), Merchant: asked.MerchantID, Action: "invite.accepted", ResourceType: "member", ResourceID: person,
		After: memberView{Name: of.PersonName, Role: Role(asked.Role), Status: Active},
	})
}
