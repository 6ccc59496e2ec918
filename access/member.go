package access

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

var (
	// ErrLastOwner is returned instead of leaving a shop without anybody who owns it.
	ErrLastOwner = errors.New("access: the last owner")
	// ErrRole is returned for a role that is none, or that whoever wants to give or take it may not.
	ErrRole = errors.New("access: not a role to give")
	// ErrMember is returned where somebody who works in the shop would have to be new to it.
	ErrMember = errors.New("access: works here already")
)

// Status is what a member's part in a shop is.
type Status string

// The states of a member.
const (
	Active    Status = "active"
	Suspended Status = "suspended" // may come back
	Removed   Status = "removed"   // has left no more than a history
)

// Colleague is somebody who works in a shop, as those see him who may see its staff.
type Colleague struct {
	Person      id.Person
	Name        string
	Role        Role
	Status      Status
	PIN         bool // unlocks tills
	PausedUntil *time.Time
	RefundLimit *money.USDC // a day; nil where his role says it
	Since       time.Time
	Seen        time.Time // zero for somebody who is not signed in
}

// Staff lists who works in a shop, the oldest first.
func (s *Service) Staff(ctx context.Context, merchant id.Merchant) ([]Colleague, error) {
	rows, err := queries.New().StaffList(ctx, s.pool, merchant)
	if err != nil {
		return nil, fmt.Errorf("staff of %s: %w", merchant, err)
	}
	out := make([]Colleague, len(rows))
	for i, r := range rows {
		out[i] = Colleague{
			Person: r.PersonID, Name: r.Name, Role: Role(r.Role), Status: Status(r.Status), PIN: r.HasPin, PausedUntil: r.PinLockedUntil, Since: r.CreatedAt,
		}
		out[i].RefundLimit = limitOf(r.RefundLimit)
		if r.SeenAt.Unix() > 0 {
			out[i].Seen = r.SeenAt
		}
	}
	return out, nil
}

// Colleague returns one of a shop's people, or [ErrNotFound].
func (s *Service) Colleague(ctx context.Context, merchant id.Merchant, person id.Person) (Colleague, error) {
	staff, err := s.Staff(ctx, merchant)
	if err != nil {
		return Colleague{}, err
	}
	for _, c := range staff {
		if c.Person == person {
			return c, nil
		}
	}
	return Colleague{}, ErrNotFound
}

// Grantors lists who could give somebody of a role another one that includes the permission.
func (s *Service) Grantors(ctx context.Context, merchant id.Merchant, of Role, p Permission) ([]Member, error) {
	staff, err := s.Staff(ctx, merchant)
	if err != nil {
		return nil, err
	}
	var out []Member
	for _, c := range staff {
		if c.Status == Active && c.Role.MayGrant(of) && grantsWith(c.Role, p) {
			out = append(out, Member{Person: c.Person, PersonName: c.Name, Role: c.Role, Merchant: merchant})
		}
	}
	return out, nil
}

func grantsWith(giver Role, p Permission) bool {
	for _, r := range Roles {
		if giver.MayGrant(r) && r.May(p) {
			return true
		}
	}
	return false
}

// memberView is a member as the audit log shows him.
type memberView struct {
	Name   string `json:"name"`
	Role   Role   `json:"role"`
	Status Status `json:"status"`
	PIN    bool   `json:"pin,omitempty"`
	// RefundLimit is what he may give back on one day, in USDC; empty where his role says it.
	RefundLimit string `json:"refund_limit,omitempty"`
}

func viewOf(r queries.StaffMemberRow) memberView {
	return memberView{Name: r.Name, Role: Role(r.Role), Status: Status(r.Status), PIN: r.Pin != "", RefundLimit: limitWord(limitOf(r.RefundLimit))}
}

func limitOf(units *int64) *money.USDC {
	if units == nil {
		return nil
	}
	limit := money.USDC(*units)
	return &limit
}

func limitWord(limit *money.USDC) string {
	if limit == nil {
		return ""
	}
	return limit.String()
}

// asBoss runs a change of who works in a shop, one at a time for each shop. The role of whoever makes it is the one that
// he has at that moment, not when his page was made. Errors: [ErrDenied] for somebody who has none any more.
func (s *Service) asBoss(ctx context.Context, of Session, do func(tx pgx.Tx, boss Role) error) error {
	if of.Device != "" || of.Merchant == "" {
		return ErrDenied
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		boss, err := s.bossTx(ctx, tx, of)
		if err != nil {
			return err
		}
		return do(tx, boss)
	})
}

func (s *Service) bossTx(ctx context.Context, tx pgx.Tx, of Session) (Role, error) {
	if _, err := queries.New().MerchantLock(ctx, tx, of.Merchant); err != nil {
		return "", fmt.Errorf("lock the staff of %s: %w", of.Merchant, err)
	}
	me, err := memberTx(ctx, tx, of.Merchant, of.Person)
	if errors.Is(err, ErrNotFound) || err == nil && Status(me.Status) != Active {
		return "", ErrDenied
	}
	return Role(me.Role), err
}

func memberTx(ctx context.Context, tx pgx.Tx, merchant id.Merchant, person id.Person) (queries.StaffMemberRow, error) {
	m, err := queries.New().StaffMember(ctx, tx, queries.StaffMemberParams{MerchantID: merchant, PersonID: person})
	if errors.Is(err, pgx.ErrNoRows) {
		return m, ErrNotFound
	}
	if err != nil {
		return m, fmt.Errorf("member %s of %s: %w", person, merchant, err)
	}
	return m, nil
}

// changeMember changes one member, whom the boss may change, and signs him out of the shop.
func (s *Service) changeMember(ctx context.Context, of Session, from Browser, person id.Person, action string,
	do func(boss Role, was queries.StaffMemberRow) (Role, Status, error),
) error {
	return s.asBoss(ctx, of, func(tx pgx.Tx, boss Role) error {
		was, err := memberTx(ctx, tx, of.Merchant, person)
		if err != nil {
			return err
		}
		role, status, err := do(boss, was)
		if err != nil {
			return err
		}
		if err := setMemberTx(ctx, tx, s.now(), was, role, status); err != nil {
			return fmt.Errorf("%s %s of %s: %w", action, person, of.Merchant, err)
		}
		after := viewOf(was)
		after.Role, after.Status = role, status
		return audit.RecordTx(ctx, tx, s.now(), audit.Row{
			By: from.by(of.Person, of.PersonName), Merchant: of.Merchant, Action: action, ResourceType: "member", ResourceID: string(person),
			Before: viewOf(was), After: after,
		})
	})
}

// setMemberTx makes somebody what he is from now on: what he may give others no more ends with it, and whoever stays in
// the shop signs in again. Errors: [ErrLastOwner].
func setMemberTx(ctx context.Context, tx pgx.Tx, now time.Time, was queries.StaffMemberRow, role Role, status Status) error {
	q := queries.New()
	err := q.StaffSet(ctx, tx, queries.StaffSetParams{
		MerchantID: was.MerchantID, PersonID: was.PersonID, Role: string(role), Status: string(status), Now: now,
	})
	if err != nil {
		return err
	}
	err = q.InviteRevokeOf(ctx, tx, queries.InviteRevokeOfParams{
		MerchantID: was.MerchantID, PersonID: was.PersonID, Now: now, Kept: grantable(role, status),
	})
	if err != nil {
		return err
	}
	if status != Active || !role.May(ChangeStaff) {
		if err := q.PairingForgetOf(ctx, tx, queries.PairingForgetOfParams{MerchantID: was.MerchantID, PersonID: was.PersonID}); err != nil {
			return err
		}
	}
	owners, err := q.StaffOwners(ctx, tx, was.MerchantID)
	if err != nil {
		return err
	}
	if owners == 0 {
		return ErrLastOwner
	}
	return q.SessionEndMember(ctx, tx, queries.SessionEndMemberParams{PersonID: was.PersonID, MerchantID: &was.MerchantID})
}

// grantable are the roles that somebody may give.
func grantable(role Role, status Status) []string {
	out := []string{} // not NULL, which no role is other than
	for _, r := range Roles {
		if status == Active && role.MayGrant(r) {
			out = append(out, string(r))
		}
	}
	return out
}

// ChangeRole gives somebody another role; he signs in anew. Errors: [ErrRole] where one of the two roles is not the
// giver's to give, [ErrLastOwner], [ErrStepUp] for roles that weigh much, [ErrNotFound], [ErrDenied].
func (s *Service) ChangeRole(ctx context.Context, of Session, from Browser, person id.Person, role Role) error {
	return s.changeMember(ctx, of, from, person, "member.role_changed",
		func(boss Role, was queries.StaffMemberRow) (Role, Status, error) {
			if err := mayGive(of, boss, Role(was.Role), role); err != nil {
				return "", "", err
			}
			return role, Status(was.Status), nil
		})
}

// mayGive tells whether somebody may give and take these roles, now.
func mayGive(of Session, boss Role, roles ...Role) error {
	for _, r := range roles {
		if !boss.MayGrant(r) {
			return ErrRole
		}
	}
	for _, r := range roles {
		if r.Weighty() && !of.SteppedUp {
			return ErrStepUp
		}
	}
	return nil
}

// SetRefundLimit says what somebody may give back to buyers on one day, from nothing on; nil for what his role may. Errors:
// [ErrRole] for somebody who may give nothing back, or whom nobody limits, or who stands too high; [ErrStepUp], [ErrNotFound],
// [ErrDenied].
func (s *Service) SetRefundLimit(ctx context.Context, of Session, from Browser, person id.Person, limit *money.USDC) error {
	return s.asBoss(ctx, of, func(tx pgx.Tx, boss Role) error {
		was, err := memberTx(ctx, tx, of.Merchant, person)
		if err != nil {
			return err
		}
		if Role(was.Role).RefundsADay() <= 0 {
			return ErrRole
		}
		if err := mayGive(of, boss, Role(was.Role)); err != nil {
			return err
		}
		if err := queries.New().StaffSetRefundLimit(ctx, tx, queries.StaffSetRefundLimitParams{
			MerchantID: of.Merchant, PersonID: person, RefundLimit: (*int64)(limit), Now: s.now(),
		}); err != nil {
			return fmt.Errorf("set the limit of %s: %w", person, err)
		}
		after := viewOf(was)
		after.RefundLimit = limitWord(limit)
		return audit.RecordTx(ctx, tx, s.now(), audit.Row{
			By: from.by(of.Person, of.PersonName), Merchant: of.Merchant, Action: "member.refund_limit_set", ResourceType: "member", ResourceID: string(person),
			Before: viewOf(was), After: after,
		})
	})
}

// Suspend takes somebody's part in a shop away until [Service.Resume]. Errors: those of [Service.ChangeRole].
func (s *Service) Suspend(ctx context.Context, of Session, from Browser, person id.Person) error {
	return s.setStatus(ctx, of, from, person, "member.suspended", Suspended)
}

// Resume gives it back. Errors: those of [Service.ChangeRole].
func (s *Service) Resume(ctx context.Context, of Session, from Browser, person id.Person) error {
	return s.setStatus(ctx, of, from, person, "member.resumed", Active)
}

// Remove ends somebody's part in a shop; what he did there stays. Errors: those of [Service.ChangeRole].
func (s *Service) Remove(ctx context.Context, of Session, from Browser, person id.Person) error {
	return s.setStatus(ctx, of, from, person, "member.removed", Removed)
}

func (s *Service) setStatus(ctx context.Context, of Session, from Browser, person id.Person, action string, status Status) error {
	return s.changeMember(ctx, of, from, person, action,
		func(boss Role, was queries.StaffMemberRow) (Role, Status, error) {
			return Role(was.Role), status, mayGive(of, boss, Role(was.Role))
		})
}

// Leave ends one's own part in a shop. Errors: [ErrLastOwner], [ErrDenied].
func (s *Service) Leave(ctx context.Context, of Session, from Browser) error {
	return s.changeMember(ctx, of, from, of.Person, "member.left",
		func(_ Role, was queries.StaffMemberRow) (Role, Status, error) {
			return Role(was.Role), Removed, nil
		})
}
