-- Says what messages and markers an event log has, in order, as Debian's library ghc-events reads them.
module Main (main) where

import Data.List (sortOn)
import qualified Data.Text as Text
import GHC.RTS.Events
import System.Environment (getArgs)

main :: IO ()
main = do
  [file] <- getArgs
  readEventLogFromFile file >>= either fail (mapM_ said . sortOn evTime . events . dat)
  where
    said event = case evSpec event of
      UserMessage text -> putStrLn ("message " ++ Text.unpack text)
      UserMarker text -> putStrLn ("marker " ++ Text.unpack text)
      _ -> pure ()
