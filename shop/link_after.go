package shop

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
)

// After is what a link's buyers get once they have paid, beside their receipt.
type After struct {
	Message string    `json:"message,omitempty"` // shown above the receipt
	File    id.Upload `json:"file,omitempty"`    // for links that sell no items
	KeyItem id.Item   `json:"key_item,omitempty"`
}

// LeadsTo is where a link takes those who have paid, or everybody.
type LeadsTo struct {
	URL string `json:"url,omitempty"` // https; empty leads nowhere. It is told to nobody who may not go there
	All bool   `json:"all,omitempty"` // also who has not paid
}

// Host names the site that it leads to, as buyers read it before they pay.
func (l LeadsTo) Host() string {
	u, err := url.Parse(l.URL)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(strings.ToLower(u.Host), "www.")
}

const maxMessage = 500 // characters

// checkAfter checks what is given to those who have paid, and where they are led.
func (f *LinkForm) checkAfter() error {
	f.After.Message = strings.TrimSpace(f.After.Message)
	switch {
	case !Lines(f.After.Message, maxMessage):
		return &FieldError{"message", fmt.Sprintf("Use at most %d printable characters.", maxMessage)}
	case f.Items != nil && f.After.File != "":
		return &FieldError{"file", "Items bring their own files."}
	case f.Items != nil && f.After.KeyItem != "":
		return &FieldError{"key_item_id", "Items bring their own keys."}
	case f.LeadsTo.URL == "" && f.LeadsTo.All:
		return &FieldError{"leads_to", "Say where the link leads."}
	}
	return CheckLeadsTo(f.LeadsTo.URL)
}

// CheckLeadsTo accepts an empty text or an https URL whose host can be named to buyers as it is. Every other scheme could
// do something else than open a page.
func CheckLeadsTo(s string) error {
	if s == "" {
		return nil
	}
	wrong := &FieldError{"leads_to", "Give a full address that begins with https://."}
	if !strings.HasPrefix(s, "https://") {
		return wrong
	}
	if err := CheckReturnURL("leads_to", s); err != nil {
		return wrong
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" {
		return wrong
	}
	for _, r := range u.Host {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]", r) {
			return &FieldError{"leads_to", "Write the host's name in plain letters; names of other scripts begin with xn--."}
		}
	}
	return nil
}

// ownGifts looks whether what is given is the shop's own, and fit to be given.
func (s *Service) ownGifts(ctx context.Context, db queries.DBTX, merchant id.Merchant, a After) error {
	if a.File != "" {
		u, err := queries.New().UploadByID(ctx, db, a.File)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("file of a link: %w", err)
		}
		if err != nil || u.MerchantID != merchant || Purpose(u.Purpose) != FileUpload || !u.Complete {
			return &FieldError{"file", "Upload the file first, with the purpose file."}
		}
	}
	if a.KeyItem == "" {
		return nil
	}
	rows, err := queries.New().ItemsOffered(ctx, db, queries.ItemsOfferedParams{Ids: []string{string(a.KeyItem)}})
	if err != nil {
		return fmt.Errorf("key of a link: %w", err)
	}
	if len(rows) == 0 || rows[0].Item.MerchantID != merchant || Kind(rows[0].Item.Kind) != LicenceKey {
		return &FieldError{"key_item_id", "Name an item of the shop that is a licence key."}
	}
	return nil
}

func afterOf(r queries.Link) After {
	a := After{Message: r.Message}
	if r.FileID != nil {
		a.File = *r.FileID
	}
	if r.KeyItemID != nil {
		a.KeyItem = *r.KeyItemID
	}
	return a
}
