-- Signatures only, as hs-opentelemetry-api 1.0.0.0 has published them; nothing here does anything.
module OpenTelemetry.Attributes where

import Data.Text (Text)

data Attributes = Attributes
data AttributeLimits = AttributeLimits
data Attribute = Attribute

class ToAttribute a where toAttribute :: a -> Attribute
instance ToAttribute Text where toAttribute = undefined

emptyAttributes :: Attributes
emptyAttributes = undefined

defaultAttributeLimits :: AttributeLimits
defaultAttributeLimits = undefined

addAttribute :: ToAttribute a => AttributeLimits -> Attributes -> Text -> a -> Attributes
addAttribute = undefined
