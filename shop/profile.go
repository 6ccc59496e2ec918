package shop

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// ErrChanged is returned instead of overwriting what somebody else wrote since the form was shown.
var ErrChanged = errors.New("shop: changed meanwhile")

// Profile is what a shop says of itself.
type Profile struct {
	Name       string
	Domain     string // its own site; empty for none
	Slug       string // in the address of its storefront
	WentLiveAt *time.Time
	// ConfirmLimit is up to which amount a payment counts in its first block.
	ConfirmLimit money.USDC
}

// Profile returns what a shop says of itself.
func (s *Service) Profile(ctx context.Context, merchant id.Merchant) (Profile, error) {
	m, err := queries.New().MerchantByID(ctx, s.pool, merchant)
	if err != nil {
		return Profile{}, fmt.Errorf("shop %s: %w", merchant, notFound(err))
	}
	return Profile{Name: m.Name, Domain: m.Domain, Slug: m.Slug, WentLiveAt: m.WentLiveAt, ConfirmLimit: m.ConfirmLimit}, nil
}

const (
	maxShopName = 80
	maxDomain   = 253
)

var (
	domainForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])$`)
	slugForm   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$`)
)

// Rename changes what buyers read above what they pay for. was is the name that the form showed.
// Errors: [*FieldError], [ErrChanged].
func (s *Service) Rename(ctx context.Context, merchant id.Merchant, was, name string, by audit.By) error {
	name = strings.TrimSpace(name)
	if name == "" || !OneLine(name, maxShopName) {
		return &FieldError{"name", fmt.Sprintf("Give a name of 1 to %d characters.", maxShopName)}
	}
	return s.amend(ctx, merchant, by, amendment{"name", was, name}, func(tx pgx.Tx) (int64, error) {
		return queries.New().MerchantRename(ctx, tx, queries.MerchantRenameParams{ID: merchant, Was: was, Name: name})
	})
}

// SetDomain changes the shop's own site; empty for none. Errors: [*FieldError], [ErrChanged].
func (s *Service) SetDomain(ctx context.Context, merchant id.Merchant, was, domain string, by audit.By) error {
	domain = strings.ToLower(strings.TrimSpace(domain))
	if domain != "" && (len(domain) > maxDomain || !domainForm.MatchString(domain)) {
		return &FieldError{"domain", "Give a domain such as shop.example, without https:// and without a path."}
	}
	return s.amend(ctx, merchant, by, amendment{"domain", was, domain}, func(tx pgx.Tx) (int64, error) {
		return queries.New().MerchantSetDomain(ctx, tx, queries.MerchantSetDomainParams{ID: merchant, Was: was, Domain: domain})
	})
}

// SetSlug changes the shop's name in addresses. Errors: [*FieldError], [ErrChanged].
func (s *Service) SetSlug(ctx context.Context, merchant id.Merchant, was, slug string, by audit.By) error {
	slug = strings.ToLower(strings.TrimSpace(slug))
	if !slugForm.MatchString(slug) {
		return &FieldError{"slug", "Use 1 to 48 small letters, figures and hyphens, such as kaffe-nord."}
	}
	if id.Reserved(slug) {
		return &FieldError{"slug", "This name is kept for the site itself. Choose another one."}
	}
	err := s.amend(ctx, merchant, by, amendment{"slug", was, slug}, func(tx pgx.Tx) (int64, error) {
		return queries.New().MerchantSetSlug(ctx, tx, queries.MerchantSetSlugParams{ID: merchant, Was: was, Slug: slug})
	})
	var twice *pgconn.PgError
	if errors.As(err, &twice) && twice.Code == "23505" {
		return &FieldError{"slug", "Another shop here has this name. Choose another one."}
	}
	return err
}

// SetConfirmLimit changes up to which amount a payment counts in its first block. Errors: [*FieldError], [ErrChanged].
func (s *Service) SetConfirmLimit(ctx context.Context, merchant id.Merchant, was, limit string, by audit.By) error {
	most, err := money.ParseUSDC(strings.TrimSpace(limit))
	if err != nil || most < 0 {
		return &FieldError{"confirm_limit", "Give an amount such as 1000."}
	}
	before, err := money.ParseUSDC(was)
	if err != nil {
		return ErrChanged
	}
	return s.amend(ctx, merchant, by, amendment{"confirm_limit", before.String(), most.String()}, func(tx pgx.Tx) (int64, error) {
		return queries.New().MerchantSetConfirmLimit(ctx, tx, queries.MerchantSetConfirmLimitParams{ID: merchant, Was: before, ConfirmLimit: most})
	})
}

// amendment is one field of a shop, as a form showed it and as it is to be.
type amendment struct{ field, was, value string }

func (s *Service) amend(ctx context.Context, merchant id.Merchant, by audit.By, a amendment, do func(pgx.Tx) (int64, error)) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		n, err := do(tx)
		switch {
		case err != nil:
			return err
		case n == 0:
			return ErrChanged
		case a.was == a.value:
			return nil
		}
		return audit.RecordTx(ctx, tx, s.now(), audit.Row{
			By: by, Merchant: merchant, Action: "shop." + a.field + "_changed", ResourceType: "shop", ResourceID: string(merchant),
			Before: map[string]string{a.field: a.was}, After: map[string]string{a.field: a.value},
		})
	})
	if err != nil {
		return fmt.Errorf("change the %s of %s: %w", a.field, merchant, err)
	}
	return nil
}
