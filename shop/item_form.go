package shop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// ItemForm is what a seller writes about an item.
type ItemForm struct {
	Title       string
	Description string
	Kind        Kind    // [Physical] if empty
	Pricing     Pricing // [Fixed] if empty
	Price       money.USDC
	SKU         string
	Barcode     string
	Category    string
	Image       id.Upload
	File        id.Upload
	EditionOf   id.Item
	Edition     string
	Stock       *int // in the shop, held ones among them; nil for always another one. The list of a [LicenceKey] is its stock
	LowStock    *int
	// Once is an idempotency key, hashed with its scope: it makes one item, for ever. Nil for none.
	Once []byte
}

const (
	maxCode     = 64
	maxCategory = 60
	// maxStock keeps what was ever put in far below 31 bits.
	maxStock = 100_000_000
)

func (f *ItemForm) check() error {
	for _, text := range []*string{&f.Title, &f.Description, &f.SKU, &f.Barcode, &f.Category, &f.Edition} {
		*text = strings.TrimSpace(*text)
	}
	if f.Kind == "" {
		f.Kind = Physical
	}
	if f.Pricing == "" {
		f.Pricing = Fixed
	}
	if err := errors.Join(f.checkTexts(), f.checkPrice(), f.checkStock()); err != nil {
		return firstOf(err)
	}
	switch {
	case !slices.Contains(Kinds, f.Kind):
		return &FieldError{"kind", "Choose physical, service, file or key."}
	case f.Kind == File && f.File == "":
		return &FieldError{"file", "Upload the file that buyers get."}
	case f.Kind != File && f.File != "":
		return &FieldError{"file", "Only an item of the kind file has a file."}
	}
	return nil
}

// firstOf is the first of several errors: a form names one field at a time.
func firstOf(err error) error {
	var field *FieldError
	if errors.As(err, &field) {
		return field
	}
	return err
}

func (f *ItemForm) checkTexts() error {
	switch {
	case f.Title == "":
		return &FieldError{"title", "Say what you are selling."}
	case !OneLine(f.Title, maxTitle):
		return &FieldError{"title", fmt.Sprintf("Use at most %d letters, figures and signs on one line.", maxTitle)}
	case !Lines(f.Description, maxDescription):
		return &FieldError{"description", fmt.Sprintf("Use at most %d printable characters.", maxDescription)}
	case !OneLine(f.SKU, maxCode):
		return &FieldError{"sku", fmt.Sprintf("Use at most %d printable characters.", maxCode)}
	case !OneLine(f.Barcode, maxCode):
		return &FieldError{"barcode", fmt.Sprintf("Use at most %d printable characters.", maxCode)}
	case !OneLine(f.Category, maxCategory):
		return &FieldError{"category", fmt.Sprintf("Use at most %d printable characters.", maxCategory)}
	case !OneLine(f.Edition, maxCategory):
		return &FieldError{"edition", fmt.Sprintf("Use at most %d printable characters.", maxCategory)}
	}
	return nil
}

func (f *ItemForm) checkPrice() error {
	switch {
	case !slices.Contains([]Pricing{Fixed, Minimum, Any, Free}, f.Pricing):
		return &FieldError{"pricing", "Choose fixed, minimum, any or free."}
	case f.Price < 0 || (f.Pricing == Fixed || f.Pricing == Minimum) && f.Price == 0:
		return &FieldError{"price", "The price must be more than zero."}
	case f.Pricing == Free && f.Price != 0:
		return &FieldError{"price", "What is free has no price."}
	case f.Price > maxPrice:
		return &FieldError{"price", fmt.Sprintf("The price can be at most %s USDC.", maxPrice.Grouped())}
	}
	return nil
}

func (f *ItemForm) checkStock() error {
	switch {
	case f.Stock != nil && (*f.Stock < 0 || *f.Stock > maxStock):
		return &FieldError{"stock", "Give a whole number, or leave it empty."}
	case f.LowStock != nil && (*f.LowStock < 0 || *f.LowStock > maxStock):
		return &FieldError{"low_stock", "Give a whole number, or leave it empty."}
	}
	return nil
}

// checkRefs looks whether what an item refers to is there and is the shop's own. self is empty for a new item.
func (s *Service) checkRefs(ctx context.Context, merchant id.Merchant, self id.Item, f ItemForm) error {
	if self == "" && f.Kind == LicenceKey && f.Stock != nil {
		return &FieldError{"stock", "The keys that you import are the stock."}
	}
	for _, u := range []struct {
		field   string
		upload  id.Upload
		purpose Purpose
	}{{"image", f.Image, ImageUpload}, {"file", f.File, FileUpload}} {
		if u.upload == "" {
			continue
		}
		row, err := queries.New().UploadByID(ctx, s.pool, u.upload)
		if err = notFound(err); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("upload %s: %w", u.upload, err)
		}
		if err != nil || row.MerchantID != merchant || Purpose(row.Purpose) != u.purpose {
			return &FieldError{u.field, "Upload it first, and give the upload's id."}
		}
	}
	if f.EditionOf == "" {
		return nil
	}
	of, err := s.Item(ctx, merchant, false, f.EditionOf)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err != nil || of.EditionOf != "" || of.ID == self {
		return &FieldError{"edition_of", "Name an item of the shop that is no edition of another one."}
	}
	return nil
}

func (f *ItemForm) insertion(item id.Item, merchant id.Merchant, now time.Time) queries.ItemInsertParams {
	return queries.ItemInsertParams{
		ID: item, MerchantID: merchant, Title: f.Title, Description: f.Description, Kind: string(f.Kind), Pricing: string(f.Pricing), Price: f.Price,
		Sku: f.SKU, Barcode: f.Barcode, Category: f.Category, ImageID: optional(f.Image), FileID: optional(f.File), EditionOf: optional(f.EditionOf),
		Edition: f.Edition, LowStock: narrow(f.LowStock), Once: f.Once, CreatedAt: now,
	}
}

func optional[T ~string](v T) *T {
	if v == "" {
		return nil
	}
	return &v
}

func narrow(n *int) *int32 {
	if n == nil {
		return nil
	}
	v := int32(*n)
	return &v
}
